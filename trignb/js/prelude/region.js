// ---- Regions: shared memory with an encoder and a decoder ------------------------------
const control = new Shared(CONTROL_BYTES), ctl = new Words(control);
const chunk = []; for (let i = 0; i < 1024; i++) chunk[i] = 0;
const scratch = new Buffer_(8), scratchBytes = new Bytes(scratch);
const scratchFloat = new Float64Array(scratch), scratchInt = new BigInt64Array(scratch);

function makeRegion(initial) {
  const memory = new Shared(initial, { maxByteLength: REGION_BYTES });
  const header = new Words(memory, 0, 4096);
  // A fixed-length view is 10-20 times as fast as a length-tracking one, so it is remade.
  let bytes = new Bytes(memory, 0, initial), capacity = initial, at = 0;

  function ensure(n) {
    if (at + n <= capacity) return;
    let size = capacity;
    while (size < at + n) size *= 2;
    if (size > REGION_BYTES) throw fail('ERR value too large');
    sharedGrow(memory, size); bytes = new Bytes(memory, 0, size); capacity = size;
  }
  function putLength(v) {
    bytes[at] = v; bytes[at + 1] = v >> 8; bytes[at + 2] = v >> 16; bytes[at + 3] = v >>> 24; at += 4;
  }
  // ASCII as it is, anything else as UTF-16LE with a negative length: V8 alone has no
  // UTF-8 codec, and Python's is written in C.
  function putText(s) {
    const n = s.length; ensure(n);
    const b = bytes, q = at;
    for (let i = 0; i < n; i++) {
      const c = s.charCodeAt(i);
      if (c > 127) return putWide(s, n);
      b[q + i] = c;
    }
    at += n; return n;
  }
  function putWide(s, n) {
    ensure(2 * n);
    const b = bytes;
    for (let i = 0, q = at; i < n; i++, q += 2) { const c = s.charCodeAt(i); b[q] = c; b[q + 1] = c >> 8; }
    at += 2 * n; return -2 * n;
  }
  function putBuffer(source) {
    const n = byteLength(source); ensure(n);
    const s = new Bytes(source, 0, n), b = bytes, q = at;
    for (let i = 0; i < n; i++) b[q + i] = s[i];
    at += n; return n;
  }
  function putTagged(tag, s) {
    ensure(5); bytes[at] = tag;
    const head = at; at += 5;
    const n = putText(s), end = at;
    if (n < 0) bytes[head] = tag | 128;
    at = head + 1; putLength(n < 0 ? -n : n); at = end;
  }
  function putInt(v) { bytes[at++] = 105; putLength(v); }
  function putScratch(tag) { bytes[at++] = tag; for (let i = 0; i < 8; i++) bytes[at++] = scratchBytes[i]; }
  function utf8Length(s) {
    let n = 0;
    for (let i = 0; i < s.length; i++) {
      const c = s.charCodeAt(i);
      // Half of a surrogate pair: both halves make four bytes.
      n += c < 128 ? 1 : c < 2048 || (c >= 0xd800 && c < 0xe000) ? 2 : 3;
    }
    return n;
  }
  function putStringObject(v) {
    const given = v.__reply_type, text = stringValue(v);
    const type = isStringObject(given) ? stringValue(given) : given;
    if (type !== 'verbatim') return putTagged(type === 'status' ? 83 : 66, text);
    const format = String_(v.__format);
    must(utf8Length(format) === 3, 'Verbatim format length must be 3.');
    for (let i = 0; i < 3; i++) must(format.charCodeAt(i) < 128, 'Verbatim format must contains only ASCI values.');
    putTagged(86, format + text);
  }
  function putKey(v) {
    switch (typeof v) {
      case 'number': if ((v | 0) !== v || (v === 0 && 1 / v < 0)) break; putInt(v); return;
      case 'bigint': case 'string': case 'boolean': put(v, 0); return;
      case 'object':
        if (isStringObject(v)) { put(stringValue(v), 0); return; }   // a key has no type of reply
        if (isBuffer(v)) { put(v, 0); return; }
    }
    throw fail('Give value is not a key');
  }
  function putName(k) {                      // property names that are array indices are integers
    const first = k.charCodeAt(0);
    if (first >= 48 && first <= 57) {
      const index = k >>> 0;
      if (index !== 4294967295 && String_(index) === k) {
        if (index > 2147483647) throw fail('Give value is not a key');
        ensure(8); putInt(index); return;
      }
    }
    putTagged(66, k);
  }
  function putArray(v, depth) {
    const n = v.length;
    let strings = n > 0;
    for (let i = 0; i < n && strings; i++) strings = typeof v[i] === 'string';
    if (strings && putStrings(v, n)) return;
    bytes[at++] = 65; putLength(n);
    for (let i = 0; i < n; i++) put(v[i], depth);
  }
  function putStrings(v, n) {                // many texts at once: all lengths, then all bytes
    const list = [];
    for (let i = 0; i < n; i++) { const s = v[i]; if (typeof s !== 'string') return false; list[i] = s; }
    ensure(5 + 4 * n); bytes[at++] = 76; putLength(n);
    let lengths = at; at += 4 * n;
    for (let i = 0; i < n; i++) {
      const size = putText(list[i]), end = at;
      at = lengths; putLength(size); lengths = at; at = end;
    }
    return true;
  }
  function putObject(v, depth) {
    const names = [];
    if (isLongView(v)) throw fail('ERR value too large');
    for (const k in v) names[names.length] = k;
    ensure(16); bytes[at++] = 77; putLength(names.length);
    for (let i = 0; i < names.length; i++) { putName(names[i]); put(v[names[i]], depth); }
  }
  // The conversion of a result to a reply, in the order in which RedisGears tries.
  function put(v, depth) {
    ensure(16);
    switch (typeof v) {
      case 'string': putTagged(66, v); return;
      case 'number':
        if ((v | 0) === v && (v !== 0 || 1 / v > 0)) { putInt(v); return; }
        scratchFloat[0] = v; putScratch(68); return;
      case 'bigint': scratchInt[0] = v; putScratch(73); return;      // the store cuts to 64 bits
      case 'boolean': bytes[at++] = v ? 84 : 70; return;
      case 'undefined': putTagged(66, 'undefined'); return;
      case 'symbol': putTagged(66, ''); return;
    }
    if (v === null) { bytes[at++] = 78; return; }
    if (++depth > 100) throw fail('nesting level reached');
    if (isArray(v)) { putArray(v, depth); return; }
    if (typeof v === 'object' && getPrototypeOf(v) !== plainPrototype) {
      if (isStringObject(v)) { putStringObject(v); return; }
      if (isBuffer(v)) { bytes[at++] = 66; putLength(byteLength(v)); putBuffer(v); return; }
      if (tagOf(v) === '[object Set]' && isBranded(setSize, v)) {
        bytes[at++] = 69; putLength(setSize(v));
        setEach(v, (member) => { ensure(16); putKey(member); });
        return;
      }
    }
    putObject(v, depth);
  }

  function getLength() {
    const v = (bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24) >>> 0;
    at += 4; return v;
  }
  function getInt() {
    const v = bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24;
    at += 4; return v;
  }
  // Long texts are flattened in pieces of 1024: a rope of short ones costs 4 times the heap.
  function getAscii(n) {
    const b = bytes; let s = '', i = at; const end = i + n; at = end;
    if (n >= 2048) {
      const parts = [];
      for (let j = 0; end - i >= 1024; i += 1024, j++) {
        for (let q = 0; q < 1024; q++) chunk[q] = b[i + q];
        parts[j] = apply(fromCharCode, null, chunk);
      }
      s = join(parts, '');
    }
    for (; end - i >= 8; i += 8) {
      s += fromCharCode(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6], b[i + 7]);
    }
    switch (end - i) {
      case 1: return s + fromCharCode(b[i]);
      case 2: return s + fromCharCode(b[i], b[i + 1]);
      case 3: return s + fromCharCode(b[i], b[i + 1], b[i + 2]);
      case 4: return s + fromCharCode(b[i], b[i + 1], b[i + 2], b[i + 3]);
      case 5: return s + fromCharCode(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4]);
      case 6: return s + fromCharCode(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5]);
      case 7: return s + fromCharCode(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6]);
    }
    return s;
  }
  function getWide(n) {
    const b = bytes; let s = '', i = at; const end = i + n; at = end;
    if (n >= 4096) {
      const parts = [];
      for (let j = 0; end - i >= 2048; i += 2048, j++) {
        for (let q = 0, r = i; q < 1024; q++, r += 2) chunk[q] = b[r] | b[r + 1] << 8;
        parts[j] = apply(fromCharCode, null, chunk);
      }
      s = join(parts, '');
    }
    for (; end - i >= 8; i += 8) {
      s += fromCharCode(b[i] | b[i + 1] << 8, b[i + 2] | b[i + 3] << 8, b[i + 4] | b[i + 5] << 8, b[i + 6] | b[i + 7] << 8);
    }
    for (; i < end; i += 2) s += fromCharCode(b[i] | b[i + 1] << 8);
    return s;
  }
  function getText(n) { return n < 0 ? getWide(-n) : getAscii(n); }
  function getBuffer(n) {
    const buffer = new Buffer_(n), d = new Bytes(buffer), b = bytes, q = at;
    for (let i = 0; i < n; i++) d[i] = b[q + i];
    at += n; return buffer;
  }
  function getScratch() { for (let i = 0; i < 8; i++) scratchBytes[i] = bytes[at++]; }
  function getArray() { const n = getLength(), a = []; for (let i = 0; i < n; i++) a[i] = get(); return a; }
  function getTexts() {
    const n = getLength(), a = []; let lengths = at; at += 4 * n;
    for (let i = 0; i < n; i++) {
      const from = at; at = lengths;
      const size = getInt(); lengths = at; at = from;
      a[i] = getText(size);
    }
    return a;
  }
  function getMap() {
    const n = getLength(), o = {};
    for (let i = 0; i < n; i++) {
      const k = String_(get()), v = get();
      // what a prototype has (__proto__, a setter) must not see the assignment
      if (k in o) property(o, k, v); else o[k] = v;
    }
    return o;
  }
  function getSet() {
    const n = getLength(), s = new Set_();
    for (let i = 0; i < n; i++) setAdd(s, get());
    return s;
  }
  function getVerbatim(buffer) {
    const format = getAscii(3), n = getInt();
    const v = buffer ? getBuffer(n) : new String_(getText(n));
    return property(property(v, '__reply_type', 'verbatim'), '__format', format);
  }
  function get() {
    const tag = bytes[at++];
    switch (tag) {
      case 66: return getAscii(getLength());
      case 194: return getWide(getLength());
      case 88: return getBuffer(getLength());
      case 105: return BigInt_(getInt());
      case 73: getScratch(); return scratchInt[0];
      case 68: getScratch(); return scratchFloat[0];
      case 78: return null;
      case 84: return true;
      case 70: return false;
      case 65: return getArray();
      case 76: return getTexts();
      case 77: return getMap();
      case 69: return getSet();
      case 71: return property(new String_(getAscii(getLength())), '__reply_type', 'big_number');
      case 86: return getVerbatim(false);
      case 87: return getVerbatim(true);
    }
    throw fail('ERR unknown tag ' + tag);
  }
  // Commands and plain arguments: signed lengths, then the bytes of all of them.
  function putFlat(a, n) {
    at = 4 * n; ensure(0);
    for (let i = 0; i < n; i++) {
      const v = a[i];
      header[i] = typeof v === 'string' ? putText(v) : putBuffer(v);
    }
    return at;
  }
  function getFlat(a, n) { at = 4 * n; for (let i = 0; i < n; i++) a[i + 1] = getText(header[i]); return a; }

  return {
    memory, put, get, getInt, getAscii, getBuffer, putFlat, getFlat,
    capacity() { return capacity; },
    rewind() { at = 0; }, position() { return at; },
    grow(n) { at = 0; ensure(n); },
    getItems(a) {
      const n = getLength(), from = a.length;
      for (let i = 0; i < n; i++) a[from + i] = get();
      return a;
    },
  };
}
const main = makeRegion(MAIN_BYTES), side = makeRegion(NOTICE_BYTES);

