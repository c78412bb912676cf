// ---- Notices and background jobs -------------------------------------------------------
let encodingSide = false; const heldLines = [];
function notice(kind, id, length) {
  ctl[NOTICE] = kind; ctl[NOTICE_ID] = id; ctl[NOTICE_LENGTH] = length; notify();
}
function noticeText(kind, text) { side.rewind(); side.put(text, 0); notice(kind, 0, side.position()); }
function logLine(text) {
  if (encodingSide) { heldLines[heldLines.length] = text; return; }
  if (current === null || current === SEALED) { noticeText(LOG_LINE, text); return; }
  main.rewind(); main.put(text, 0); ctl[LENGTH] = main.position(); post(LOG); answer(converse());
}
const queue = new Map_(); let head = 0, tail = 0;
function enqueue(id, work, lost) {  // one job per task: microtasks run in between
  mapSet(queue, tail++, { id, work, lost });
  ctl[JOBS] = tail - head;
  if (load(ctl, TASK) === 0) notice(HAVE_JOBS, 0, 0);        // no task ends soon that would tell
}
function runJob() {
  atTaskStart();
  if (head < tail && load(ctl, PROBING) === 0) {
    const job = mapGet(queue, head); mapDelete(queue, head++);
    ctl[JOBS] = tail - head; ctl[RUNNING] = job.id;
    underWay = job; job.work(); underWay = null;
    ctl[RUNNING] = 0;
  }
  store(ctl, TASK, 0);
}
// Found at the start of a task if that of the job was terminated. Nobody else is going to
// settle what its work would have settled.
let underWay = null;
const TERMINATED = 'Err Execution was terminated due to OOM or timeout';
function abandon() {
  const { id, lost } = underWay;
  underWay = null;
  mapDelete(pending, id);
  if (lost !== undefined) lost(TERMINATED);
}
// A job is a promise Python waits for. Until Python was told so (`told`), its outcome is
// kept here: the probe that follows the run asks for it.
const pending = new Map_(); let nextPromise = 1;
const DROPPED = 'Promise was dropped without been resolved. Usually happened because of timeout or OOM.';
const drops = new FinalizationRegistry_((id) => settle(id, false, DROPPED));
function follow(id, promise) {
  try {
    then(promise, (v) => settle(id, true, v), (e) => settle(id, false, e));
    watchDrop(drops, promise, id);
  } catch (e) { settle(id, false, e); }
}
function settle(id, fulfilled, value) {
  const job = mapGet(pending, id);
  if (job === undefined) return;
  if (!job.told) { job.state = fulfilled ? 1 : 2; job.value = value; return; }
  mapDelete(pending, id);
  deliver(id, fulfilled, value);
}
function describeRejection(e) {               // an object without a stack has the long form 'undefined'
  const parts = describe(e);
  if (parts[2] === '' && ((typeof e === 'object' && e !== null) || typeof e === 'function')) {
    try { parts[2] = textOf(e.stack, ''); } catch { /* it stays empty */ }
  }
  return parts;
}
function deliver(id, fulfilled, value) {
  let kind = fulfilled ? JOB_DONE : JOB_FAILED;
  encodingSide = true;
  try {
    side.rewind(); side.put(fulfilled ? value : describeRejection(value), 0);
  } catch (e) { kind = JOB_FAILED; side.rewind(); side.put(describe(e), 0); }
  encodingSide = false;
  notice(kind, id, side.position());
  for (let i = 0; i < heldLines.length; i++) noticeText(LOG_LINE, heldLines[i]);
  heldLines.length = 0;
}
function begin(id, f, args) {
  mapSet(pending, id, { told: true, state: 0, value: undefined });
  enqueue(id, () => {
    let r;
    try { r = apply(f, undefined, args); } catch (e) { settle(id, false, e); return; }
    if (isPromise(r)) follow(id, r); else settle(id, true, r);
  });
}

