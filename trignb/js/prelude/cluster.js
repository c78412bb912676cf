// ---- Cluster functions: one shard, this process --------------------------------------------
const remote = { __proto__: null };
function remoteArguments(a, from) {
  const list = [];
  for (let i = from; i < a.length; i++) {
    if (isBuffer(a[i])) list[i - from] = copyBuffer(a[i]);
    else try { list[i - from] = stringify(a[i]); } catch { throw fail('Failed serializing arguments'); }
  }
  return list;
}
function copyBuffer(v) {
  const n = byteLength(v), copy = new Buffer_(n), from = new Bytes(v, 0, n), to = new Bytes(copy);
  for (let i = 0; i < n; i++) to[i] = from[i];
  return copy;
}
async function runRemote(origin, name, list) {
  if (load(ctl, ORPHAN) === 1) throw 'Library ' + libraryName + ' does not exists on remote shard';
  const f = remote[name];
  if (f === undefined) throw 'Remote function ' + name + ' does not exists on library ' + libraryName;
  // A negative origin is that of a cluster function: what it calls may not write either.
  const args = [makeAsyncClient(origin < 0 ? origin : -origin - 1)];
  for (let i = 0; i < list.length; i++) {
    if (list[i] === undefined) throw 'Failed deserializing remote function argument';
    args[i + 1] = typeof list[i] === 'string' ? parse(list[i]) : list[i];
  }
  let r;
  try { r = await apply(f, undefined, args); } catch (e) { throw errorText(e); }
  if (isBuffer(r)) return copyBuffer(r);
  let text;
  try { text = stringify(r); } catch (e) { throw 'Failed serializing result, ' + textOf(e, '') + '.'; }
  if (text === undefined) throw DESERIALIZING;
  return parse(text);
}
// As a text of C, which a NUL ends.
function errorText(e) {
  const text = typeof e === 'symbol' ? '' : textOf(e, ''), end = indexOf(text, '\0');
  return end < 0 ? text : slice(text, 0, end);
}
const DESERIALIZING = 'Failed deserializing remote function result';
function remoteName(a, i) {
  if (i >= a.length) throw refuse(i, 'V8LocalUtf8', 'Wrong number of arguments given');
  return textArgument(a, i);
}
function runOnKey(origin, a) {
  if (a.length === 0) throw refuse(0, 'V8RedisCallArgs', 'Wrong number of arguments given');
  if (typeof a[0] !== 'string' && !isStringObject(a[0]) && !isBuffer(a[0])) {
    throw refuse(0, 'V8RedisCallArgs', 'Can not convert value into bytes buffer');
  }
  const name = remoteName(a, 1), list = remoteArguments(a, 2);
  return inBackground(() => runRemote(origin, name, list));
}
const timers = new Map_(); let nextTimer = 1;
function runOnShards(origin, a) {
  const name = remoteName(a, 0), list = remoteArguments(a, 1), id = nextTimer++;
  const work = inBackground(() => runRemote(origin, name, list));
  return new Promise_((resolve) => {
    const done = (results, errors) => { if (mapDelete(timers, id)) resolve([results, errors]); };
    mapSet(timers, id, () => done([], ['Timeout']));
    then(work, (v) => done([v], []), (e) => done([], [e === DESERIALIZING ? e + " 'undefined'" : e]));
    notice(WANT_TIMER, id, 0);
  });
}

