// ---- The `redis` object --------------------------------------------------------------------
function refuse(position, type, reason) {
  return fail('Can not convert value at position ' + position + ' into ' + type + '. ' + reason + '.');
}
function textArgument(a, i) {
  if (i >= a.length) throw refuse(i, 'V8LocalUtf8', 'Wrong number of arguments given');
  if (typeof a[i] === 'string') return a[i];
  if (isStringObject(a[i])) return stringValue(a[i]);
  throw refuse(i, 'V8LocalUtf8', 'Value is not string');
}
function anyArgument(a, i) {
  if (i >= a.length) throw refuse(i, 'V8LocalValue', 'Wrong number of arguments given');
  return a[i];
}
const FIELD = {                                // how an option is read; undefined: refused
  __proto__: null,
  text: (v) => typeof v === 'string' ? v : isStringObject(v) ? stringValue(v) : undefined,
  array: (v) => isArray(v) ? v : undefined,
  long: (v) => typeof v === 'bigint' ? asIntN(64, v)
    : typeof v === 'number' && (v | 0) === v ? BigInt_(v) : undefined,
  flag: (v) => typeof v === 'boolean' ? v : undefined,
  any: (v) => v,
};
const REASON = {
  __proto__: null,
  text: 'Value is not string',
  array: 'Value is not an array',
  long: 'Value is not long',
  flag: 'Value is not a boolean',
};
// Options are consumed: what is read is deleted, what is left is unknown.
function options(a, i, type, fields) {
  const found = { __proto__: null };
  if (i >= a.length) return found;
  const given = a[i];
  if ((typeof given !== 'object' && typeof given !== 'function') || given === null) {
    throw refuse(i, type, 'Given argument must be an object');
  }
  for (const name in fields) {
    const kind = fields[name], value = given[name];
    deleteProperty(given, name);
    if (value === undefined || value === null) continue;
    found[name] = FIELD[kind](value);
    if (found[name] === undefined) {
      throw refuse(i, type, 'Failed getting field ' + name + ', ' + REASON[kind] + '.');
    }
  }
  const rest = ownKeys(given), names = [];
  for (let j = 0; j < rest.length; j++) if (typeof rest[j] === 'string') names[names.length] = rest[j];
  if (names.length > 0) throw refuse(i, type, 'Unknown properties given: ' + join(names, ','));
  return found;
}
function checkName(what, name) {
  let reason = name === '' ? 'Empty name is not allowed' : null;
  for (let i = 0; i < name.length && reason === null; i++) {
    const c = name.charCodeAt(i);
    if ((c >= 48 && c <= 57) || (c >= 65 && c <= 90) || (c >= 97 && c <= 122) || c === 95) continue;
    reason = "Unallowed char was given '" + fromCodePoint(codePointAt(name, i)) + "'";
  }
  if (reason !== null) throw fail('Unallowed ' + what + " name '" + name + "', " + reason + '.');
}
function claim(kind, name, taken) {
  const key = kind + ' ' + name;
  if (names_[key] === true) throw fail(taken);
  names_[key] = true;
}
const names_ = { __proto__: null };
function addCallback(f) {
  const id = callbacks.length, scope = { block: false, origin: 0 };
  callbacks[id] = f; scopes[id] = scope; clients[id] = makeClient(scope);
  return id;
}
function register(kind, name, f, more) {
  registrations[registrations.length] = [
    kind, name, addCallback(f), isAsync(f), stackHere(),
    more.declared === true, more.description === undefined ? null : more.description,
    more.flags === undefined ? [] : more.flags, more.prefix === undefined ? '' : more.prefix,
    more.fired === undefined ? null : addCallback(more.fired),
    more.window === undefined ? 1n : more.window, more.isStreamTrimmed === true,
  ];
}
const functionFlags = freeze({
  NO_WRITES: 'no-writes', ALLOW_OOM: 'allow-oom', RAW_ARGUMENTS: 'raw-arguments',
});
function parseFlags(given) {
  const seen = { __proto__: null, 'no-writes': false, 'allow-oom': false, 'raw-arguments': false }, list = [];
  for (let i = 0; given !== undefined && i < given.length; i++) {
    const flag = given[i];
    must(typeof flag === 'string', 'Failed parsing function flags, wrong type of string value');
    must(seen[flag] !== undefined, "Failed parsing function flags, Unknow flag '" + flag + "' was given");
    seen[flag] = true;
  }
  for (const flag in seen) if (seen[flag]) list[list.length] = flag;
  return list;
}
const FUNCTION_FIELDS = { __proto__: null, description: 'text', flags: 'array' };
const TRIGGER_FIELDS = { __proto__: null, description: 'text', onTriggerFired: 'any' };
const STREAM_FIELDS = { __proto__: null, description: 'text', window: 'long', isStreamTrimmed: 'flag' };
function registerAnyFunction(a, declared) {
  const name = textArgument(a, 0), f = anyArgument(a, 1);
  const more = options(a, 2, 'Option < NativeFunctionOptionalArgs >', FUNCTION_FIELDS);
  must(typeof f === 'function', "Second argument to 'registerFunction' must be a function");
  must(declared || !isAsync(f),
    "'registerFunction' can not be used with async function, use 'registerAsyncFunction' instead.");
  more.flags = parseFlags(more.flags); more.declared = declared;
  must(loading, "Called 'register_function' out of context");
  checkName('function', name);
  claim('function', name, 'Function ' + name + ' already exists');
  register('function', name, f, more);
}
function registerKeySpaceTrigger(a) {
  const name = textArgument(a, 0), prefix = anyArgument(a, 1), f = anyArgument(a, 2);
  const more = options(a, 3, 'Option < NoficationConsumerOptionalArgs >', TRIGGER_FIELDS);
  must(typeof f === 'function', "Third argument to 'registerKeySpaceTrigger' must be a function");
  const fired = more.fired = more.onTriggerFired;
  must(fired === undefined || (typeof fired === 'function' && !isAsync(fired)),
    "'onTriggerFired' argument to 'registerKeySpaceTrigger' must be a function");
  must(loading, "Called 'registerKeySpaceTrigger' out of context");
  must(typeof prefix === 'string' || isBuffer(prefix), "Second argument to 'registerKeySpaceTrigger' "
    + 'must be a string or ArrayBuffer representing the prefix');
  more.prefix = prefix;
  checkName('key space trigger', name);
  claim('keyspace', name, 'Notification consumer already exists');
  register('keyspace_trigger', name, f, more);
}
function registerStreamTrigger(a) {
  const name = textArgument(a, 0), prefix = anyArgument(a, 1), f = anyArgument(a, 2);
  const more = options(a, 3, 'Option < StreamTriggerOptionalArgs >', STREAM_FIELDS);
  must(typeof f === 'function', "The fifth argument to 'registerStreamTrigger' must be a function");
  must(loading, "Called 'registerFunction' out of context");
  must(more.window === undefined || more.window >= 1n, 'window argument must be a positive number');
  must(typeof prefix === 'string' || isBuffer(prefix), "Second argument to 'registerStreamTrigger' "
    + 'must be a String or ArrayBuffer representing the prefix');
  more.prefix = prefix;
  checkName('stream trigger', name);
  claim('stream', name, 'Stream registration already exists');
  register('stream_trigger', name, f, more);
}
function registerClusterFunction(a) {
  const name = textArgument(a, 0), f = anyArgument(a, 1);
  must(typeof f === 'function', "Second argument to 'registerClusterFunction' must be a function");
  must(isAsync(f), 'Remote function must be async');
  must(loading, "Called 'registerClusterFunction' out of context");
  checkName('cluster function', name);
  claim('cluster', name, 'Remote function ' + name + ' already exists');
  remote[name] = f;
  register('cluster_function', name, f, { __proto__: null });
}
define(globalThis, 'redis', {
  value: freeze({
    config: config === '' ? {} : parse(config),
    registerStreamTrigger() { registerStreamTrigger(arguments); },
    registerKeySpaceTrigger() { registerKeySpaceTrigger(arguments); },
    registerFunction() { registerAnyFunction(arguments, false); },
    registerAsyncFunction() { registerAnyFunction(arguments, true); },
    registerClusterFunction() { registerClusterFunction(arguments); },
    v8Version() { return version; },
    functionFlags,
    log() { logLine(textArgument(arguments, 0)); },
    redisai,
    apiVersion() { return '1.1'; },
  }),
  writable: false, configurable: false, enumerable: true,
});

