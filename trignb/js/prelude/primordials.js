(function (hostCall, notify, callBounded, SPIN, BUDGET, config, version, libraryName, ALL_GLOBALS) { 'use strict';
/*@words@*/

// ---- Primordials ---------------------------------------------------------------------
// Captured before the library runs. Nothing below looks anything up on a prototype or a
// global afterwards, so a library that rewrites its world cannot reach into ours.
const { load, store } = Atomics;
const { apply, construct, deleteProperty, ownKeys } = Reflect;
const { freeze, getPrototypeOf, getOwnPropertyDescriptor } = Object, define = Object.defineProperty;
const { isArray } = Array, { asIntN } = BigInt, { stringify, parse } = JSON;
const { fromCharCode, fromCodePoint } = String;
const { isView } = ArrayBuffer, Bytes = Uint8Array, Words = Int32Array, Shared = SharedArrayBuffer;
const Buffer_ = ArrayBuffer, String_ = String, Number_ = Number, BigInt_ = BigInt;
const Error_ = Error, RangeError_ = RangeError, TypeError_ = TypeError, Set_ = Set;
const Map_ = Map, Promise_ = Promise, FinalizationRegistry_ = FinalizationRegistry;
const uncurry = Function.prototype.bind.bind(Function.prototype.call);
const getterOf = (object, key) => uncurry(getOwnPropertyDescriptor(object, key).get);
const byteLength = getterOf(Buffer_.prototype, 'byteLength');
const viewLength = getterOf(getPrototypeOf(Bytes.prototype), 'length');
const sharedGrow = uncurry(Shared.prototype.grow);
const setEach = uncurry(Set.prototype.forEach), setSize = getterOf(Set.prototype, 'size');
const setAdd = uncurry(Set.prototype.add), setHas = uncurry(Set.prototype.has);
const setDelete = uncurry(Set.prototype.delete), truncate = Math.trunc;
const mapGet = uncurry(Map.prototype.get), mapSet = uncurry(Map.prototype.set);
const mapDelete = uncurry(Map.prototype.delete);
const stringValue = uncurry(String.prototype.valueOf);
const codePointAt = uncurry(String.prototype.codePointAt);
const indexOf = uncurry(String.prototype.indexOf), slice = uncurry(String.prototype.slice);
const join = uncurry(Array.prototype.join), tagOf = uncurry(Object.prototype.toString);
const then = uncurry(Promise.prototype.then);
const hasOwn = uncurry(Object.prototype.hasOwnProperty);
const watchDrop = uncurry(FinalizationRegistry.prototype.register);
const bufferPrototype = Buffer_.prototype, plainPrototype = Object.prototype;
const promisePrototype = Promise_.prototype;
const asyncPrototype = getPrototypeOf(async () => {});
const asyncGeneratorPrototype = getPrototypeOf(async function* () {});
// s.charCodeAt(i) below is the one method we call the plain way: nothing else is as fast.
define(String.prototype, 'charCodeAt', { writable: false, configurable: false });

// What stands in for a builtin has its text.
const texts = new WeakMap(), textOfBuiltin = uncurry(WeakMap.prototype.get);
const isBuiltin = uncurry(WeakMap.prototype.set), sourceOf = uncurry(Function.prototype.toString);
function asBuiltin(f, name) { isBuiltin(texts, f, 'function ' + name + '() { [native code] }'); return f; }

function isBranded(probe, value) { try { probe(value); return true; } catch { return false; } }
// A failing brand check costs 3 us, so it is only made where the type is likely.
function isBuffer(v) {
  return typeof v === 'object' && v !== null
    && (getPrototypeOf(v) === bufferPrototype || tagOf(v) === '[object ArrayBuffer]')
    && isBranded(byteLength, v);
}
// V8 makes a list of all keys of a typed array, and does not survive one of 100 million.
const MANY_KEYS = 4194304;
function isLongView(v) { return isView(v) && isBranded(viewLength, v) && viewLength(v) > MANY_KEYS; }
function isStringObject(v) {
  return typeof v === 'object' && v !== null && tagOf(v) === '[object String]'
    && isBranded(stringValue, v);
}
function isPromise(v) {
  return typeof v === 'object' && v !== null
    && (getPrototypeOf(v) === promisePrototype || v instanceof Promise_);
}
function isAsync(f) {
  const prototype = getPrototypeOf(f);
  return prototype === asyncPrototype || prototype === asyncGeneratorPrototype;
}
function property(object, key, value) {
  define(object, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
  return object;
}

// ---- Errors --------------------------------------------------------------------------
// What the engine throws into a library is a primitive string, as in RedisGears. The
// stack at that moment is kept aside: if nobody catches the string, Python gets both.
let lastFailure = null;
function fail(text) { lastFailure = { text, error: new Error_(text) }; return text; }
function must(holds, text) { if (!holds) throw fail(text); }
function textOf(value, otherwise) { try { return String_(value); } catch { return otherwise; } }
// Error.prepareStackTrace is the library's.
function stackHere() { try { return textOf(new Error_('').stack, ''); } catch { return ''; } }
// name, message, stack, and where it happened even if the exception has no stack
function describe(e) {
  let name = '', stack = '', trace = '';
  // The conversion of a symbol, too, is refused to the original.
  const message = typeof e === 'symbol' ? '' : textOf(e, '');
  try {
    if (typeof e === 'object' && e !== null) {  // any object may have a stack of its own
      if (e instanceof Error_) name = textOf(e.name, '');
      if ('stack' in e) stack = textOf(e.stack, '');
    } else if (lastFailure !== null && lastFailure.text === e) trace = textOf(lastFailure.error.stack, '');
  } catch { stack = ''; }
  lastFailure = null;
  return [name, message, stack, trace];
}

