// ---- State ---------------------------------------------------------------------------
// `current` is the scope whose client may be used: null outside of sections, SEALED while
// a result is converted (user's getters may run then, and the region is half written).
const SEALED = { block: false, origin: 0 };
let current = null;
let level = 0;              // nested runs on this stack
let leaving = false;        // the pump must end so that microtasks run
let loading = false;
let waitingBlock = null;
const callbacks = [], scopes = [], clients = [], registrations = [], events = [];
const slots = new Map_(); let nextSlot = 1;

// ---- The conversation ------------------------------------------------------------------
function await_() {          // spin, then sleep inside hostCall(); returns a message to us
  for (;;) {
    for (let i = ctl[QUIET] ? 0 : SPIN; i > 0; i--) { const k = load(ctl, STATE); if (k > 0) return k; }
    store(ctl, JS_SLEEPS, 1);
    if (load(ctl, STATE) <= 0) hostCall();
    store(ctl, JS_SLEEPS, 0);
    const k = load(ctl, STATE); if (k > 0) return k;
  }
}
function post(message) { store(ctl, STATE, message); }
// One hostCall() both wakes a sleeping Python and sleeps until its message: the kernel may
// have put it on this very processor, so spinning right after a wake-up is a waste.
function wakeAndSleep() {
  if (load(ctl, PY_SLEEPS) === 1) { store(ctl, JS_SLEEPS, 1); hostCall(); store(ctl, JS_SLEEPS, 0); }
}
function serveNested(message) { level++; serve(message); level--; wakeAndSleep(); }
function converse() {        // our message is posted; serve what comes until it is answered
  wakeAndSleep();
  for (;;) {
    const k = await_();
    if (k !== RUN && k !== GROW) return k;
    serveNested(k);
  }
}
function answer(k) {
  switch (k) {
    case REPLY_INT: return BigInt_(ctl[LENGTH]);
    case REPLY_OK: return 'OK';
    case REPLY_NULL: return null;
    case REPLY: main.rewind(); return main.get();
  }
  main.rewind(); throw fail(main.get());
}
function serve(message) {
  if (message === RUN) run(); else { main.grow(ctl[LENGTH]); post(GROWN); }
}
function atTaskStart() {     // a termination leaves no time for finally: put right what it left
  current = null; level = 0; leaving = false; waitingBlock = null; encodingSide = false;
  store(ctl, TASK, 1);
  if (underWay !== null) abandon();
}
function pump() {            // the task Python starts when nobody listens
  atTaskStart(); store(ctl, PUMP, 1);
  for (let served = 0; ; served++) {
    let k = load(ctl, STATE);
    if (k <= 0 && ctl[JOBS] === 0 && served < 5000) {
      for (let i = ctl[QUIET] ? 0 : BUDGET; i > 0 && k <= 0; i--) k = load(ctl, STATE);
    }
    if (k <= 0) {
      store(ctl, PUMP, 0);
      k = load(ctl, STATE); if (k <= 0) break;
      store(ctl, PUMP, 1);
    }
    serve(k);
    if (leaving) { leaving = false; store(ctl, PUMP, 0); break; }
    if (load(ctl, PY_SLEEPS) === 1) { store(ctl, PUMP, 0); break; }   // the end of the task wakes it
  }
  store(ctl, TASK, 0);
}

