
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
function boundMethod(prototype, name, longest = LONGEST) {   // by the length of `this`
  const original = prototype[name];
  replaceMethod(prototype, name, {
    [name]() {
      if (this !== undefined && this !== null && this.length > longest) throw tooMany(name);
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
for (const name of ['match', 'matchAll', 'normalize', 'toLocaleLowerCase', 'toLocaleUpperCase']) {
  boundMethod(String.prototype, name);
}
// V8 compares a text that is looked for at each place of another: characters of both, multiplied.
const MANY_COMPARED = 134217728;
function plainText(v) { return typeof v === 'string' ? v : `${v}`; }
function boundSearch(name, symbol) {          // what a pattern may do itself is left to it
  const original = String.prototype[name];
  replaceMethod(String.prototype, name, {
    [name](given, other) {
      if (this === undefined || this === null) return apply(original, this, arguments);
      const text = plainText(this);
      let pattern = given;
      if (typeof given === 'object' && given !== null && given[symbol] === undefined) pattern = plainText(given);
      if (text.length > LONGEST || (typeof pattern === 'string' && text.length * pattern.length > MANY_COMPARED)) {
        throw tooMany(name);
      }
      return apply(original, text, arguments.length === 0 ? [] : [pattern, other]);
    },
  }[name]);
}
boundSearch('split', Symbol.split);
for (const name of ['replace', 'replaceAll']) boundSearch(name, Symbol.replace);
// These need no bound: by Knuth, Morris and Pratt the characters are added, and each loop notices.
function findText(text, wanted, from, step) {  // step -1: backwards; `from` is where a match begins
  const size = wanted.length, last = size - 1, back = new Words(size);
  const at = (i) => (step > 0 ? i : last - i);
  for (let i = 1, k = 0; i < size; i++) {
    const c = wanted.charCodeAt(at(i));
    while (k > 0 && c !== wanted.charCodeAt(at(k))) k = back[k - 1];
    if (c === wanted.charCodeAt(at(k))) k++;
    back[i] = k;
  }
  const end = step > 0 ? text.length : -1;
  for (let i = step > 0 ? from : from + last, k = 0; i !== end; i += step) {
    const c = text.charCodeAt(i);
    while (k > 0 && c !== wanted.charCodeAt(at(k))) k = back[k - 1];
    if (c === wanted.charCodeAt(at(k))) k++;
    if (k === size) return step > 0 ? i - last : i;
  }
  return -1;
}
function searchMethod(name, find) {
  const original = String.prototype[name];
  replaceMethod(String.prototype, name, {
    [name](given) {
      if (typeof this === 'string' && typeof given === 'string' && this.length * given.length <= MANY_COMPARED) {
        return apply(original, this, arguments);
      }
      if (this === undefined || this === null || given instanceof RegExp) return apply(original, this, arguments);
      const text = plainText(this), wanted = plainText(given), where = arguments[1];
      if (text.length * wanted.length <= MANY_COMPARED) return apply(original, text, [wanted, where]);
      if (text.length > LONGEST) throw tooMany(name);
      return find(text, wanted, where);
    },
  }[name]);
}
const within = (n, low, high) => (n < low ? low : n > high ? high : n);
function findFirst(text, wanted, where) {
  const from = within(truncate(+where) || 0, 0, text.length);
  return wanted.length > text.length - from ? -1 : findText(text, wanted, from, 1);
}
searchMethod('indexOf', findFirst);
searchMethod('includes', (text, wanted, where) => findFirst(text, wanted, where) >= 0);
searchMethod('lastIndexOf', (text, wanted, where) => {
  const number = +where, highest = text.length - wanted.length;
  if (highest < 0) return -1;
  return findText(text, wanted, number !== number ? highest : within(truncate(number), 0, highest), -1);
});
// One call of the element's method after another, without a look in between.
const joining = new Set_();
function localeMethod(prototype, lengthOf) {
  const original = prototype.toLocaleString;
  replaceMethod(prototype, 'toLocaleString', {
    toLocaleString() {
      if (this === undefined || this === null) return apply(original, this, arguments);
      const length = lengthOf(this);
      if (!(length > MANY_SHOWN)) return apply(original, this, arguments);
      if (length > LONGEST) throw tooMany('toLocaleString');
      if (setHas(joining, this)) return '';
      setAdd(joining, this);
      try {
        const parts = [];
        for (let i = 0; i < length; i++) {
          const v = this[i];
          parts[i] = v === undefined || v === null ? '' : `${v.toLocaleString(arguments[0], arguments[1])}`;
        }
        return join(parts, ',');
      } finally { setDelete(joining, this); }
    },
  }.toLocaleString);
}
const MANY_SHOWN = 1024;
localeMethod(Array.prototype, (a) => +a.length);
localeMethod(getPrototypeOf(Bytes.prototype), viewLength);
// A second for 2 ** 25 elements, without a look in between.
for (const name of ['sort', 'toSorted', 'join']) boundMethod(getPrototypeOf(Bytes.prototype), name, MANY_KEYS);
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
