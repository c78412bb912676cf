
// ---- Bounds --------------------------------------------------------------------------------
// Some builtins neither notice a termination nor survive absurd sizes: V8 aborts the process,
// or counts holes for hours. They fail early instead. What each costs by its wrapper is
// nothing once V8 has optimised it.
const LONGEST = 33554432;
function tooMany(name) { return new RangeError_('Too many elements for ' + name); }
function replaceMethod(object, name, f) {
  define(f, 'length', { value: object[name].length });
  hide(object, name, f);
}
function boundMethod(prototype, name) {        // by the length of `this`
  const original = prototype[name];
  replaceMethod(prototype, name, {
    [name]() {
      if (this !== undefined && this !== null && this.length > LONGEST) throw tooMany(name);
      return apply(original, this, arguments);
    },
  }[name]);
}
function boundStatic(object, name, isTooLong) {   // by the first argument
  const original = object[name];
  replaceMethod(object, name, {
    [name](v) {
      if (isTooLong(v)) throw tooMany(name);
      return apply(original, this, arguments);
    },
  }[name]);
}
const isLong = (v) => v !== undefined && v !== null && v.length > LONGEST;
for (const name of ['fill', 'reverse', 'unshift', 'shift', 'copyWithin', 'sort', 'concat', 'slice', 'splice',
  'toSorted', 'toReversed', 'toSpliced', 'with', 'indexOf', 'lastIndexOf', 'includes', 'flat', 'flatMap', 'join',
  'forEach', 'map', 'filter', 'some', 'every', 'reduce', 'reduceRight']) {
  boundMethod(Array.prototype, name);
}
for (const name of ['split', 'replace', 'replaceAll', 'match', 'matchAll', 'normalize',
  'toLocaleLowerCase', 'toLocaleUpperCase']) boundMethod(String.prototype, name);
for (const name of ['sort', 'toSorted', 'join']) boundMethod(getPrototypeOf(Bytes.prototype), name);
boundStatic(Array, 'from', isLong);
boundStatic(getPrototypeOf(Bytes), 'from', isLong);
boundStatic(JSON, 'parse', isLong);
// Of a sparse array only what is there counts; a typed array has all its elements.
boundStatic(JSON, 'stringify', isLongView);
boundStatic(Reflect, 'ownKeys', isLongView);
for (const name of ['keys', 'values', 'entries', 'getOwnPropertyNames', 'getOwnPropertyDescriptors']) {
  boundStatic(Object, name, isLongView);
}
// V8 refuses to make a buffer of gigabytes, but not to make one that grows.
boundStatic(Buffer_.prototype, 'resize', (n) => n > 1073741824);
// A regular expression is compiled by recursion, and V8 aborts where its stack ends. Literals are
// looked at before the source is parsed.
const DEEPEST = 1000;
function isDeep(given) {
  const text = textOf(given instanceof RegExp_ ? given.source : given, '');
  for (let i = 0, depth = 0; text.length > DEEPEST && i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 40 && ++depth > DEEPEST) return true;
    if (c === 41) depth--;
  }
  return false;
}
const RegExp_ = RegExp;
function checkPattern(given) {
  if (isDeep(given)) throw new RangeError_('Too many groups within each other');
}
const guarded = new Proxy(RegExp_, {
  __proto__: null,
  apply(target, self, a) { checkPattern(a[0]); return apply(target, self, a); },
  construct(target, a, made) { checkPattern(a[0]); return construct(target, a, made); },
});
hide(RegExp_.prototype, 'constructor', guarded);
hide(globalThis, 'RegExp', guarded);
for (const [prototype, names] of [[String.prototype, ['match', 'matchAll', 'search']], [RegExp_.prototype, ['compile']]]) {
  for (const name of names) {
    const original = prototype[name];
    replaceMethod(prototype, name, {
      [name](pattern) { checkPattern(pattern); return apply(original, this, arguments); },
    }[name]);
  }
}
