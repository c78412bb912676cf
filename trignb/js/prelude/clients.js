// ---- Clients -----------------------------------------------------------------------------
function checkScope(scope) {
  if (current === scope) return;
  throw fail(current === null ? 'Main thread is not locked' : 'Used on invalid client');
}
function plainArguments(a) {                   // strings and buffers; everything else is refused
  const n = a.length, list = [];
  if (n === 0) throw refuse(0, 'V8LocalUtf8', 'Wrong number of arguments given');
  for (let i = 0; i < n; i++) {
    const v = a[i];
    if (typeof v === 'string') list[i] = v;
    else if (isStringObject(v)) list[i] = stringValue(v);
    else if (i === 0) throw refuse(0, 'V8LocalUtf8', 'Value is not string');
    else if (isBuffer(v)) list[i] = v;
    else throw fail('Failed consuming arguments. Can not convert value into bytes buffer.');
  }
  return list;
}
function isPlain(a) {
  for (let i = 0; i < a.length; i++) if (typeof a[i] !== 'string') return false;
  return a.length > 0;
}
function send(scope, a, bits) {
  if (!isPlain(a)) a = plainArguments(a);
  checkScope(scope);
  const n = a.length;
  if (n > MAX_FLAT) {
    const list = []; for (let i = 0; i < n; i++) list[i] = a[i];
    main.rewind(); main.put(list, 0); ctl[LENGTH] = main.position(); bits |= MANY;
  } else ctl[LENGTH] = main.putFlat(a, n);
  ctl[TARGET] = n;
  if (bits === 0) { post(CALL); } else { ctl[MODE] = bits; post(CALL_OTHER); }
  return converse();
}
function sendLater(scope, a, raw) {            // callAsync: the promise is settled from the queue
  const id = nextLater++;
  ctl[ITEM] = id;
  const k = send(scope, a, raw | LATER);
  if (k === REPLY_LATER) return new Promise_((resolve, reject) => mapSet(later, id, { resolve, reject }));
  let v, failed = false;
  try { v = answer(k); } catch (e) { v = e; failed = true; }
  return new Promise_((resolve, reject) => enqueue(0, () => failed ? reject(v) : resolve(v)));
}
const absent = () => { throw fail('RedisAI is not initialize'); };   // sic
const redisai = freeze({ create_tensor: absent });
function makeClient(scope) {
  return {
    call() { return answer(send(scope, arguments, 0)); },
    callRaw() { return answer(send(scope, arguments, RAW)); },
    callAsync() { return sendLater(scope, arguments, 0); },
    callAsyncRaw() { return sendLater(scope, arguments, RAW); },
    isBlockAllowed() { if (current !== scope) throw fail('Used on invalid client'); return scope.block; },
    redisai: {
      open_model() { textArgument(arguments, 0); absent(); },
      open_script() { textArgument(arguments, 0); absent(); },
    },
    executeAsync(f) { return executeAsync(scope, f); },
  };
}
function executeAsync(scope, f) {
  if (current !== scope) throw fail("Called 'executeAsync' out of context");
  must(typeof f === 'function' && isAsync(f), "First argument to 'executeAsync' must be an async function");
  const client = makeAsyncClient(scope.origin);
  return inBackground(() => f(client));
}
function inBackground(work) {                  // a promise for work() run as a job
  return new Promise_((resolve, reject) => {
    enqueue(0, async () => { try { resolve(await work()); } catch (e) { reject(e); } }, reject);
  });
}
function makeAsyncClient(origin) {
  return {
    block(f) { return block(origin, f); },
    runOnKey() { return runOnKey(origin, arguments); },
    runOnShards() { return runOnShards(origin, arguments); },
  };
}
function block(origin, work) {
  if (typeof work !== 'function') throw fail("Argument to 'block' must be a function");
  if (current !== null || waitingBlock !== null) throw fail('Main thread is already blocked');
  const b = waitingBlock = { work, free: false, fulfilled: false, value: undefined };
  store(ctl, PUMP, 2);
  notice(WANT_BLOCK, origin, 0);
  // Whoever holds the lock meanwhile may run functions of this library: they are served
  // here, on top of the waiting coroutine. That is what keeps block() from deadlocking.
  for (;;) {
    const k = await_();
    serveBounded(b, k);
    if (b.free) break;
    wakeAndSleep();
  }
  waitingBlock = null;
  store(ctl, PUMP, 0); post(RESULT_NULL); wakeOnly();
  if (b.fulfilled) return b.value;
  throw b.value;
}
// Within block() a termination ends what is served, and nothing of the coroutine around it.
let bounded = null;                            // what callBounded() calls
define(globalThis, BOUNDED_NAME, { value: () => bounded(), configurable: true });
callBounded();
delete globalThis[BOUNDED_NAME];
function serveBounded(b, message) {
  const outer = current, depth = level, isWork = message === RUN && ctl[MODE] === BLOCK;
  let ended = false;
  bounded = () => { level++; serve(message); level--; ended = true; };
  if (ctl[BOUNDED] === 1) callBounded(); else bounded();
  if (ended) return;
  current = outer; level = depth; leaving = false; encodingSide = false; lastFailure = null;
  if (isWork) b.value = TERMINATED;
  post(BLOCK_ENDED);
}
function wakeOnly() { if (load(ctl, PY_SLEEPS) === 1) hostCall(); }

