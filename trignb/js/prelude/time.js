
// ---- Time ------------------------------------------------------------------------------------
// Whatever reads the time reads the engine's clock: the system's as long as nobody has moved it.
// What stands in for a builtin cannot be told from it: length, name, text, properties.
const Date_ = Date, systemTime = Date.now, clockMs = new Float64Array(control);
const dateText = uncurry(Date.prototype.toString);
function now() {
  const mode = load(ctl, CLOCK);
  if (mode === SYSTEM_TIME) return systemTime();
  if (mode === ASK_TIME) notice(WANT_TIME, 0, 0);
  return clockMs[CLOCK_MS];
}
function EngineDate(year, month, date, hours, minutes, seconds, ms) {
  if (new.target === undefined) return dateText(new Date_(now()));
  if (arguments.length > 0) return construct(Date_, arguments, new.target);
  return new.target === EngineDate ? new Date_(now()) : construct(Date_, [now()], new.target);
}
define(EngineDate, 'name', { value: 'Date' });
define(EngineDate, 'prototype', { value: Date_.prototype, writable: false });
hide(EngineDate, 'now', { now() { return now(); } }.now);
for (const name of ['parse', 'UTC']) hide(EngineDate, name, Date_[name]);
hide(Date_.prototype, 'constructor', EngineDate);
hide(globalThis, 'Date', EngineDate);

const formats = Intl.DateTimeFormat.prototype, formatterOf = getterOf(formats, 'format');
const bound = new WeakMap();                   // one function for each formatter, as it was
const boundGet = uncurry(WeakMap.prototype.get), boundSet = uncurry(WeakMap.prototype.set);
const getter = {
  get format() {
    const original = formatterOf(this);
    let f = boundGet(bound, original);
    if (f === undefined) {
      f = [(date) => original(date === undefined ? now() : date)][0];
      define(f, 'name', { __proto__: null, value: '', writable: false, configurable: true });
      boundSet(bound, original, asBuiltin(f, ''));
    }
    return f;
  },
};
define(formats, 'format', { get: asBuiltin(getOwnPropertyDescriptor(getter, 'format').get, 'get format') });
const toParts = uncurry(formats.formatToParts);
hide(formats, 'formatToParts', {
  formatToParts(date) { return toParts(this, date === undefined ? now() : date); },
}.formatToParts);

// There with all globals only.
if (typeof Temporal === 'object') {
  const { Instant } = Temporal, { timeZoneId } = Temporal.Now;
  const instant = () => {
    let ns = BigInt_(now()) * 1000000n;
    if (load(ctl, CLOCK) !== SYSTEM_TIME) ns += BigInt_(ctl[CLOCK_NS]);
    return new Instant(ns);
  };
  const inZone = uncurry(Instant.prototype.toZonedDateTimeISO);
  const zoned = (a) => inZone(instant(), a.length > 0 && a[0] !== undefined ? a[0] : timeZoneId());
  hide(Temporal.Now, 'instant', { instant() { return instant(); } }.instant);
  hide(Temporal.Now, 'zonedDateTimeISO', { zonedDateTimeISO() { return zoned(arguments); } }.zonedDateTimeISO);
  const parts = Temporal.ZonedDateTime.prototype;
  for (const name of ['plainDateTimeISO', 'plainDateISO', 'plainTimeISO']) {
    const part = uncurry(parts['to' + { __proto__: null, plainDateTimeISO: 'PlainDateTime', plainDateISO: 'PlainDate', plainTimeISO: 'PlainTime' }[name]]);
    hide(Temporal.Now, name, { [name]() { return part(zoned(arguments)); } }[name]);
  }
}

// ---- Chance ----------------------------------------------------------------------------------
// xoshiro128**: 128 bits of state, which Python sets and can read. 53 bits of two draws make a
// number.
const { imul } = Math;
function draw() {
  const at = CHANCE, a = ctl[at], b = ctl[at + 1];
  const product = imul(b, 5), drawn = imul(product << 7 | product >>> 25, 9);
  let c = ctl[at + 2] ^ a, d = ctl[at + 3] ^ b;
  ctl[at] = a ^ d; ctl[at + 1] = b ^ c; ctl[at + 2] = c ^ b << 9; ctl[at + 3] = d << 11 | d >>> 21;
  return drawn;
}
hide(Math, 'random', {
  random() { return ((draw() >>> 5) * 67108864 + (draw() >>> 6)) / 9007199254740992; },
}.random);
