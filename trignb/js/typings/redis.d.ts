/**
 * What a trigger-and-function library finds in its world, for editors and for tsc.
 *
 * A library is one classic script: it has `redis` and the language itself, and neither timers
 * nor modules nor the network. Put this file beside it (`trignb typings DIR`), and a jsconfig.json
 * with `"lib": ["ES2023"]`, or name it in the library:
 *
 *     /// <reference path="./redis.d.ts" />
 */

// ---- Values ------------------------------------------------------------------------------

/** Bytes: an `ArrayBuffer`. Of a typed array give the `.buffer`, of which all is taken. */
type RedisBytes = ArrayBuffer & { readonly BYTES_PER_ELEMENT?: never };

/** An argument of a command: text or bytes. Numbers are refused; write `String(n)`. */
type RedisArgument = string | String | RedisBytes;

/** What keys begin with. A `String` object is refused here. */
type RedisPrefix = string | RedisBytes;

/** A `new String(…)` that is returned tells by these what kind of reply it is to be. */
interface String {
    __reply_type?: "status" | "verbatim" | "big_number";
    __format?: string;
}

/** A verbatim string as a command replies it. Return one like it to reply one. */
interface VerbatimString extends String {
    __reply_type: "verbatim";
    /** Three ASCII characters, `txt` or `mkd`. */
    __format: string;
}

/**
 * What commands reply, by their lower-case names; a command that is not listed replies `any`.
 * Integers are BigInts: `n + 1n`, not `n + 1`. Statuses are plain strings. A command that fails
 * throws its error as a string.
 */
interface RedisReplies {
    append: bigint;
    bitcount: bigint;
    bitpos: bigint;
    copy: bigint;
    dbsize: bigint;
    decr: bigint;
    decrby: bigint;
    del: bigint;
    echo: string;
    exists: bigint;
    expire: bigint;
    expireat: bigint;
    expiretime: bigint;
    flushall: string;
    flushdb: string;
    get: string | null;
    getbit: bigint;
    getdel: string | null;
    getex: string | null;
    getrange: string;
    getset: string | null;
    hdel: bigint;
    hexists: bigint;
    hget: string | null;
    hgetall: Record<string, string>;
    hincrby: bigint;
    hincrbyfloat: string;
    hkeys: string[];
    hlen: bigint;
    hmget: (string | null)[];
    hmset: string;
    hscan: [string, string[]];
    hset: bigint;
    hsetnx: bigint;
    hstrlen: bigint;
    hvals: string[];
    incr: bigint;
    incrby: bigint;
    incrbyfloat: string;
    keys: string[];
    lindex: string | null;
    linsert: bigint;
    llen: bigint;
    lmove: string | null;
    lpush: bigint;
    lpushx: bigint;
    lrange: string[];
    lrem: bigint;
    lset: string;
    ltrim: string;
    mget: (string | null)[];
    move: bigint;
    mset: string;
    msetnx: bigint;
    persist: bigint;
    pexpire: bigint;
    pexpireat: bigint;
    pexpiretime: bigint;
    pfadd: bigint;
    pfcount: bigint;
    pfmerge: string;
    ping: string;
    psetex: string;
    pttl: bigint;
    publish: bigint;
    randomkey: string | null;
    rename: string;
    renamenx: bigint;
    rpoplpush: string | null;
    rpush: bigint;
    rpushx: bigint;
    sadd: bigint;
    scan: [string, string[]];
    scard: bigint;
    sdiff: Set<string>;
    sdiffstore: bigint;
    set: string | null;
    setbit: bigint;
    setex: string;
    setnx: bigint;
    setrange: bigint;
    sinter: Set<string>;
    sintercard: bigint;
    sinterstore: bigint;
    sismember: bigint;
    smembers: Set<string>;
    smismember: bigint[];
    smove: bigint;
    srem: bigint;
    sscan: [string, string[]];
    strlen: bigint;
    sunion: Set<string>;
    sunionstore: bigint;
    /** Seconds since 1970 and the microseconds of that second. */
    time: [string, string];
    touch: bigint;
    ttl: bigint;
    type: "none" | "string" | "list" | "set" | "zset" | "hash" | "stream";
    unlink: bigint;
    xack: bigint;
    xadd: string | null;
    xdel: bigint;
    xlen: bigint;
    xrange: [id: string, fields: string[]][];
    xrevrange: [id: string, fields: string[]][];
    xtrim: bigint;
    zcard: bigint;
    zcount: bigint;
    zincrby: number;
    zlexcount: bigint;
    zmscore: (number | null)[];
    zrangestore: bigint;
    zrem: bigint;
    zremrangebylex: bigint;
    zremrangebyrank: bigint;
    zremrangebyscore: bigint;
    zscore: number | null;
}

/** A command's name, in small or capital letters. */
type RedisCommand = keyof RedisReplies | Uppercase<keyof RedisReplies> | (string & {});

/** What a command replies to `call`. */
type RedisReply<C extends string> =
    Lowercase<C> extends keyof RedisReplies ? RedisReplies[Lowercase<C>] : any;

/** The same as `callRaw` gives it: bytes in place of text. Keys of maps stay text. */
type RawReply<T> =
    0 extends 1 & T ? any
    : T extends string ? ArrayBuffer
    : T extends bigint | number | boolean | null ? T
    : T extends Set<infer Member> ? Set<RawReply<Member>>
    : { [Part in keyof T]: RawReply<T[Part]> };

// ---- Clients -----------------------------------------------------------------------------

/** Reads and writes, on the thread that holds the database. Valid while its function runs. */
interface SyncClient {
    /**
     * Runs a command and gives its reply, as the database says it in RESP3.
     *
     * Throws, as a string, the error of a command that fails; and `Could not decode value as
     * string` where the reply is not text.
     */
    call<C extends RedisCommand>(command: C, ...args: RedisArgument[]): RedisReply<C>;
    /** The same for a list that has the command's name as well: `call(...words)`. */
    call(...words: RedisArgument[]): any;

    /** The same with bytes for text. */
    callRaw<C extends RedisCommand>(command: C, ...args: RedisArgument[]): RawReply<RedisReply<C>>;
    callRaw(...words: RedisArgument[]): any;

    /** Runs a command that may wait, such as `blpop`, and gives a promise of its reply. */
    callAsync<C extends RedisCommand>(command: C, ...args: RedisArgument[]): Promise<RedisReply<C>>;
    callAsync(...words: RedisArgument[]): Promise<any>;

    /** The same with bytes for text. */
    callAsyncRaw<C extends RedisCommand>(
        command: C, ...args: RedisArgument[]
    ): Promise<RawReply<RedisReply<C>>>;
    callAsyncRaw(...words: RedisArgument[]): Promise<any>;

    /** Whether a promise that is not settled yet may be returned. */
    isBlockAllowed(): boolean;

    /** Starts a coroutine in the background and gives a promise of what it returns. */
    executeAsync<T>(work: (client: AsyncClient) => Promise<T>): Promise<T>;
}

/** The client of a coroutine: it holds nothing, and may be kept. */
interface AsyncClient {
    /**
     * Waits for the database, runs `work` with it, and gives what `work` returns. What `work`
     * writes is one step, for other clients and for replicas.
     */
    block<T>(work: (client: SyncClient) => T): T;

    /** Calls a cluster function where a key lives. */
    runOnKey(key: RedisArgument, name: string | String, ...args: any[]): Promise<any>;

    /** Calls a cluster function on every shard: the results, and the errors as text. */
    runOnShards(name: string | String, ...args: any[]): Promise<[results: any[], errors: string[]]>;
}

/**
 * The client of a trigger. An ordinary function gets a sync client, a coroutine an async one;
 * TypeScript cannot tell the two kinds of functions apart, so this has the methods of both.
 */
interface TriggerClient extends SyncClient, AsyncClient {}

// ---- What callbacks are told -------------------------------------------------------------

/** What a keyspace trigger is told, and what `onTriggerFired` may add to. */
interface KeyspaceData {
    /** The event: `"set"`, `"hset"`, `"del"`, `"expired"`, `"evicted"`, `"keymiss"`, … */
    readonly event: string;
    /** The key as text; null when it is none, and then there is only `key_raw`. */
    readonly key: string | null;
    readonly key_raw: ArrayBuffer;
    /** What `onTriggerFired` noted. */
    [note: string]: any;
}

/** A record of a stream, as a stream trigger is told of it. */
interface StreamData {
    /** Milliseconds and sequence number. */
    readonly id: [bigint, bigint];
    readonly stream_name: string | null;
    readonly stream_name_raw: ArrayBuffer;
    /** Field and value, null where it is not text. */
    readonly record: [string | null, string | null][];
    readonly record_raw: [ArrayBuffer, ArrayBuffer][];
}

/** A promise of a function: `redis.functionFlags` has them by name. */
type FunctionFlag = "no-writes" | "allow-oom" | "raw-arguments";

/** What the keys and arguments of a function are: text, or bytes under `raw-arguments`. */
type FunctionArgument<F extends readonly FunctionFlag[]> =
    "raw-arguments" extends F[number] ? ArrayBuffer : string;

interface FunctionOptions<F extends readonly FunctionFlag[]> {
    description?: string;
    flags?: F;
}

interface KeyspaceTriggerOptions {
    description?: string;
    /**
     * Runs at the event itself, also inside a transaction, and may only read. What it puts into
     * `data` is there when the trigger runs. Not a coroutine.
     */
    onTriggerFired?: (client: SyncClient, data: KeyspaceData) => void;
}

interface StreamTriggerOptions {
    description?: string;
    /** How many records of one stream may be under way at once, for coroutines; 1 if absent. */
    window?: number | bigint;
    /** Whether records that every trigger has dealt with are removed; false if absent. */
    isStreamTrimmed?: boolean;
}

// ---- redis -------------------------------------------------------------------------------

/** The object `redis`. Registering is possible while the library is being loaded. */
interface RedisLibrary {
    /**
     * Makes a function for `TFCALL`. Keys and arguments follow the client in one row. Not a
     * coroutine; what it returns is the reply, and without `return` that is the text `undefined`.
     */
    registerFunction<const F extends readonly FunctionFlag[] = []>(
        name: string,
        callback: (client: SyncClient, ...args: FunctionArgument<F>[]) => any,
        options?: FunctionOptions<F>,
    ): void;

    /** Makes a function for `TFCALLASYNC`, a coroutine that runs in the background. */
    registerAsyncFunction<const F extends readonly FunctionFlag[] = []>(
        name: string,
        callback: (client: AsyncClient, ...args: FunctionArgument<F>[]) => Promise<any>,
        options?: FunctionOptions<F>,
    ): void;

    /**
     * Runs `callback` for each event on a key that begins with `prefix`, at the end of the
     * command or transaction. An empty prefix is any key; there are no patterns.
     */
    registerKeySpaceTrigger(
        name: string,
        prefix: RedisPrefix,
        callback: (client: TriggerClient, data: KeyspaceData) => any,
        options?: KeyspaceTriggerOptions,
    ): void;

    /** Runs `callback` for each record of the streams whose key begins with `prefix`. */
    registerStreamTrigger(
        name: string,
        prefix: RedisPrefix,
        callback: (client: TriggerClient, data: StreamData) => any,
        options?: StreamTriggerOptions,
    ): void;

    /** Makes a coroutine that `runOnKey` and `runOnShards` call. */
    registerClusterFunction(
        name: string,
        callback: (client: AsyncClient, ...args: any[]) => Promise<any>,
    ): void;

    /** What `TFUNCTION LOAD … CONFIG` gave, otherwise an empty object. */
    readonly config: { readonly [name: string]: any };

    /** Writes a line to the library's log. */
    log(text: string | String): void;

    readonly functionFlags: {
        /** It writes nothing; it may run on a replica and without memory. */
        readonly NO_WRITES: "no-writes";
        /** It may run when memory is full. */
        readonly ALLOW_OOM: "allow-oom";
        /** It gets bytes, not text. */
        readonly RAW_ARGUMENTS: "raw-arguments";
    };

    /** The newest version of the API that there is. */
    apiVersion(): string;

    /** The version of V8. */
    v8Version(): string;
}

declare var redis: RedisLibrary;

/** What it is told goes to the library's log. */
interface Console {
    debug(...values: any[]): void;
    error(...values: any[]): void;
    info(...values: any[]): void;
    log(...values: any[]): void;
    warn(...values: any[]): void;
}

declare var console: Console;
