// ---- Globals -------------------------------------------------------------------------------
// RedisGears' allow list; WebAssembly is on it, but V8 is told not to offer it. TFUNCTION DEBUG can switch
// the list off (ALL_GLOBALS). `console` writes to the library's log.
const ALLOWED_GLOBALS = ' redis Object Function Array Number parseFloat parseInt Infinity NaN undefined '
  + 'Boolean String Symbol Date Promise RegExp Error AggregateError RangeError ReferenceError SyntaxError '
  + 'TypeError URIError globalThis JSON Math Intl ArrayBuffer Uint8Array Int8Array Uint16Array Int16Array '
  + 'Uint32Array Int32Array Float32Array Float64Array Uint8ClampedArray BigUint64Array BigInt64Array DataView '
  + 'Map BigInt Set WeakMap WeakSet Proxy Reflect FinalizationRegistry WeakRef decodeURI decodeURIComponent '
  + 'encodeURI encodeURIComponent escape unescape isFinite isNaN console Iterator ';
for (const name of ownKeys(globalThis)) {
  if (typeof name !== 'string' || indexOf(ALLOWED_GLOBALS, ' ' + name + ' ') >= 0) continue;
  if (ALL_GLOBALS === 0 || name === 'WebAssembly') delete globalThis[name];
}
function hide(object, name, value) {
  if (typeof value === 'function' && hasOwn(value, 'name')) asBuiltin(value, value.name);
  define(object, name, { __proto__: null, value, writable: true, enumerable: false, configurable: true });
}
function consoleLine() {
  const list = [];
  for (let i = 0; i < arguments.length; i++) list[i] = textOf(arguments[i], '?');
  logLine(join(list, ' '));
}
const quiet = {};
for (const name of ['log', 'info', 'warn', 'error', 'debug', 'trace']) {
  hide(quiet, name, { [name]() { apply(consoleLine, undefined, arguments); } }[name]);
}
for (const name of ['assert', 'clear', 'count', 'countReset', 'dir', 'dirxml', 'group', 'groupCollapsed',
  'groupEnd', 'profile', 'profileEnd', 'table', 'time', 'timeEnd', 'timeLog', 'timeStamp']) {
  hide(quiet, name, { [name]() {} }[name]);  // of no use without an inspector, and no error either
}
hide(globalThis, 'console', quiet);

// new Promise() settles through the queue of background jobs, as in RedisGears: what it
// resolves is never settled yet when a function returns.
function settlesLater(f) {
  return function () {
    if (arguments.length === 0) throw refuse(0, 'V8LocalValue', 'Wrong number of arguments given');
    const v = arguments[0];
    enqueue(0, () => f(v));
  };
}
function QueuedPromise(executor) {
  if (new.target === undefined) throw new TypeError_("Promise constructor cannot be invoked without 'new'");
  if (typeof executor !== 'function' || isAsync(executor)) throw fail("Bad argument to 'Promise' function");
  let failed = false, failure;
  const run = (resolve, reject) => {
    try { executor(settlesLater(resolve), settlesLater(reject)); } catch (e) { failed = true; failure = e; }
  };
  const made = construct(Promise_, [run], new.target === QueuedPromise ? Promise_ : new.target);
  if (failed) throw failure;                   // a native constructor does not reject for it
  return made;
}
for (const name of ownKeys(Promise_)) {
  const f = Promise_[name];
  if (typeof name === 'string' && typeof f === 'function') {
    hide(QueuedPromise, name, { [name]() { return apply(f, Promise_, arguments); } }[name]);
  }
}
define(QueuedPromise, 'name', { value: 'Promise' });
define(QueuedPromise, 'prototype', { value: Promise_.prototype, writable: false });
hide(globalThis, 'Promise', QueuedPromise);
hide(Function.prototype, 'toString', {
  toString() {
    const text = typeof this === 'function' ? textOfBuiltin(texts, this) : undefined;
    return text === undefined ? sourceOf(this) : text;
  },
}.toString);

return [pump, runJob, readMail, watchLoad, control, main.memory, side.memory];
})
