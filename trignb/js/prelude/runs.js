// ---- What Python asks us to run ----------------------------------------------------------
function thrown(e) {
  current = SEALED;
  postThrown(describe(e));
}
function postThrown(parts) {
  main.rewind(); main.put(parts, 0); ctl[LENGTH] = main.position(); post(THROWN);
}
function pend(promise) {
  const id = nextPromise; nextPromise += 2;    // even numbers are Python's
  const told = level > 0;                      // microtasks cannot run before we unwind
  mapSet(pending, id, { told, state: 0, value: undefined });
  follow(id, promise);
  leaving = !told; if (leaving) store(ctl, PROBING, 1);
  ctl[ITEM] = id; ctl[COUNT] = told ? 0 : 1; post(PENDING);
}
function result(r) {
  if (typeof r === 'bigint') {
    if (asIntN(32, r) === r) { ctl[LENGTH] = Number_(r); post(RESULT_INT); return; }
  } else if (r === null) { post(RESULT_NULL); return; }
  try { main.rewind(); main.put(r, 0); } catch (e) { thrown(e); return; }
  ctl[LENGTH] = main.position(); post(RESULT);
}
function callFunction(args) {
  const id = ctl[TARGET], f = callbacks[id], scope = scopes[id], outer = current;
  const { block, origin } = scope;             // a function's client is one for all calls
  args[0] = clients[id];
  scope.block = ctl[ALLOWED] === 1; scope.origin = ctl[ORIGIN]; current = scope;
  try {
    let r;
    try { r = apply(f, undefined, args); } finally {
      current = SEALED; scope.block = block; scope.origin = origin;
    }
    if (isPromise(r)) pend(r); else result(r);
  } catch (e) { thrown(e); }
  current = outer;
}
function callTrigger(data) {
  const f = callbacks[ctl[TARGET]], outer = current;
  const scope = { block: ctl[ALLOWED] === 1, origin: ctl[ORIGIN] };
  current = scope;
  try {
    const r = f(makeClient(scope), data);
    if (isPromise(r)) pend(r); else post(RESULT_NULL);
  } catch (e) { thrown(e); }
  current = outer;
}
function fire(data) {
  const f = callbacks[ctl[TARGET]], outer = current;
  const scope = { block: ctl[ALLOWED] === 1, origin: ctl[ORIGIN] };
  current = scope;
  try {
    f(makeClient(scope), data);
    mapSet(slots, nextSlot, data); ctl[LENGTH] = nextSlot++; post(RESULT_INT);
  } catch (e) { thrown(e); }
  current = outer;
}
function flatData() {
  const event = events[ctl[COUNT]], n = ctl[LENGTH];
  main.rewind(); const key = main.getAscii(n);
  main.rewind(); return { event, key, key_raw: main.getBuffer(n) };
}
function eventData(region) {
  const event = region.get(), key = region.get();
  return { event, key, key_raw: region.get() };
}
function valuesData() {
  main.rewind(); return eventData(main);
}
function takeSlot(slot) { const data = mapGet(slots, slot); mapDelete(slots, slot); return data; }
function recordData(region) {
  const stream_name = region.get(), stream_name_raw = region.get(), id = region.get();
  // Ids have 64 bits without a sign; the upper half crosses as big numbers.
  for (let i = 0; i < 2; i++) if (typeof id[i] !== 'bigint') id[i] = BigInt_(stringValue(id[i]));
  return { id, stream_name, stream_name_raw, record: region.get(), record_raw: region.get() };
}
function runBlock() {                          // the lock is ours: run block()'s function
  const b = waitingBlock, failure = ctl[COUNT] === 1;
  if (b === null) { post(RESULT_NULL); return; }
  if (failure) { main.rewind(); b.value = fail(main.get()); post(RESULT_NULL); return; }
  const scope = { block: ctl[ALLOWED] === 1, origin: ctl[ORIGIN] }, outer = current;
  current = scope;
  // Called as no method: stacks would name the object.
  const { work } = b;
  try { b.value = work(makeClient(scope)); b.fulfilled = true; } catch (e) { b.value = e; }
  current = outer; post(RESULT_NULL);
}
function unblock() {                           // block() itself answers, when it no longer listens
  if (waitingBlock === null) post(RESULT_NULL); else waitingBlock.free = true;
}
function probe() {                             // microtasks have run: is it settled?
  const id = ctl[ITEM], job = mapGet(pending, id), wanted = ctl[COUNT] === 1;
  store(ctl, PROBING, 0);
  if (job.state === 0) { job.told = true; ctl[COUNT] = 0; post(PENDING); return; }
  mapDelete(pending, id);
  const outer = current; current = SEALED;
  if (job.state === 2) postThrown(describeRejection(job.value));
  else if (wanted) result(job.value); else post(RESULT_NULL);
  current = outer;
}
const later = new Map_(); let nextLater = 1;
function settleLater(id, failed, v) {          // a command of callAsync has its reply
  const waiting = mapGet(later, id);
  mapDelete(later, id);
  if (waiting !== undefined) enqueue(0, () => failed ? waiting.reject(v) : waiting.resolve(v));
}
function expire(id) { const work = mapGet(timers, id); if (work !== undefined) enqueue(0, work); }
// Mail: what Python wants done in the background. It is fetched by a task of its own, so
// nobody has to hold a lock or to wait for background code that computes.
function readMail() {
  atTaskStart();
  for (;;) {
    notice(WANT_MAIL, 0, side.capacity());
    const n = ctl[NOTICE_LENGTH];
    if (n === 0) break;
    side.rewind();
    if (n < 0) { side.grow(-n); continue; }
    while (side.position() < n) readLetter(side.getInt(), side.getInt(), side.getInt(), side.getInt());
  }
  store(ctl, TASK, 0);
}
function readLetter(kind, id, target, origin) {
  switch (kind) {
    case START: begin(id, callbacks[target], side.getItems([makeAsyncClient(origin)])); return;
    case START_TRIGGER: begin(id, callbacks[target], [makeAsyncClient(origin), eventData(side)]); return;
    case START_SLOT:
      begin(id, callbacks[target], [makeAsyncClient(origin), takeSlot(Number_(side.get()))]);
      return;
    case START_RECORD: begin(id, callbacks[target], [makeAsyncClient(origin), recordData(side)]); return;
    case SETTLE: settleLater(id, target === 1, side.get()); return;
    case DROP_SLOT: mapDelete(slots, id); return;
    case TIMER: expire(id);
  }
}
let loadOutcome = null;
function watchLoad(promise) { then(promise, undefined, (e) => { loadOutcome = describe(e); }); }
function internal() {
  switch (ctl[TARGET]) {
    case BEGIN_LOAD: loading = true; break;
    case END_LOAD: loading = false; result(registrations); return;
    case ADD_EVENT: main.rewind(); events[ctl[ITEM]] = main.get(); break;
    case LOAD_OUTCOME: result(loadOutcome); return;
    case LAST_FAILURE: result(lastFailure === null ? null : describe(lastFailure.text)); return;
  }
  post(RESULT_NULL);
}
function run() {
  switch (ctl[MODE]) {
    case CALL_FLAT: callFunction(main.getFlat([undefined], ctl[COUNT])); return;
    case CALL_VALUES: main.rewind(); callFunction(main.getItems([undefined])); return;
    case TRIGGER_FLAT: callTrigger(flatData()); return;
    case TRIGGER_VALUES: callTrigger(valuesData()); return;
    case TRIGGER_SLOT: callTrigger(takeSlot(ctl[COUNT])); return;
    case FIRE_FLAT: fire(flatData()); return;
    case FIRE_VALUES: fire(valuesData()); return;
    case RECORD: main.rewind(); callTrigger(recordData(main)); return;
    case BLOCK: runBlock(); return;
    case UNBLOCK: unblock(); return;
    case PROBE: probe(); return;
    default: internal();
  }
}

