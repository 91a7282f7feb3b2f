import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'
import { readConfig } from '../../server/config.ts'
import { checkOptions, checkSpoolOptions } from '../../src/options/options.ts'
import { ConfigError } from '../../server/env.ts'
import { parseSource } from '../support/source/source-file.ts'
import { sourcePaths } from '../support/source/source-tree.ts'

const ROOT = new URL('../../', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8')
const KEY = randomBytes(32).toString('base64')

const SERVICE = {
  DATABASE_URL: 'postgres://user:PASSWORD-1@db.example:5432/documents',
  ENCRYPTION_KEYS: `k1:${KEY},k2:${randomBytes(32).toString('base64url')}`,
  ENCRYPTION_CURRENT_KEY: 'k2',
  JWT_SECRET: 'a secret of the tests, 32 bytes and more',
  JWT_ISSUER: 'https://issuer.example',
  JWT_AUDIENCE: 'documents',
  MANAGED_S3_ENDPOINT: 'http://minio:9000',
  MANAGED_S3_BUCKET: 'documents',
  MANAGED_S3_ACCESS_KEY_ID: 'access',
  MANAGED_S3_SECRET_ACCESS_KEY: 'PASSWORD-2'
}

/** Returns the problems of `variables`. */
function problems(variables: Record<string, string | undefined>): readonly string[] {
  try {
    readConfig(variables)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

const named = (list: readonly string[]): string[] => list.map((problem) => problem.split(' ')[0] ?? '').sort()

t.test('an empty environment is a demo on loopback', async (t) => {
  const config = readConfig({})
  t.match(config, {
    mode: 'demo',
    host: '127.0.0.1',
    port: 3000,
    logLevel: 'warn',
    trustProxy: [],
    allowHosts: { s3: [], webdav: [], nextcloud: [] },
    dataDir: resolve('data'),
    shutdownTimeoutMs: 10_000
  })
  t.same(
    [config.cache, config.limits, config.timeouts, config.leaseMs, config.publicUrl],
    [{}, {}, {}, undefined, undefined]
  )
})

t.test('transfers are enabled by default, with a configurable size', async (t) => {
  t.same(readConfig({}).transfers, {})
  t.same(readConfig({ TRANSFER_MAX_BYTES: '1000' }).transfers, { maxBytes: 1000 })
  t.same(readConfig({ TRANSFERS: 'false', TRANSFER_MAX_BYTES: '1000' }).transfers, false)
  t.same(named(problems({ TRANSFERS: 'no', TRANSFER_MAX_BYTES: '0' })), ['TRANSFERS', 'TRANSFER_MAX_BYTES'])
})

t.test('the limits for uploads of unknown size are parsed and must be consistent', async (t) => {
  t.same(readConfig({}).spool, {})
  t.same(
    readConfig({
      SPOOL_MAX_BYTES: '1',
      SPOOL_MAX_BYTES_PER_USER: '2',
      SPOOL_MAX_TOTAL_BYTES: '3',
      SPOOL_FOLDER: '/spool'
    }).spool,
    { maxBytes: 1, maxBytesPerUser: 2, maxTotalBytes: 3, folder: '/spool' }
  )
  for (const [name, values] of [
    ['SPOOL_MAX_BYTES', { SPOOL_MAX_BYTES: '0' }],
    ['SPOOL_MAX_BYTES_PER_USER', { SPOOL_MAX_BYTES_PER_USER: '1.5' }],
    ['SPOOL_MAX_TOTAL_BYTES', { SPOOL_MAX_TOTAL_BYTES: 'many' }],
    ['SPOOL_MAX_BYTES_PER_USER', { SPOOL_MAX_BYTES: '2', SPOOL_MAX_BYTES_PER_USER: '1' }],
    ['SPOOL_MAX_TOTAL_BYTES', { SPOOL_MAX_BYTES: '2', SPOOL_MAX_TOTAL_BYTES: '1' }],
    ['SPOOL_MAX_TOTAL_BYTES', { SPOOL_MAX_BYTES_PER_USER: '2', SPOOL_MAX_TOTAL_BYTES: '1' }]
  ] as const) {
    t.same(named(problems(values)), [name], JSON.stringify(values))
  }
})

t.test('/tmp of docker-compose.yml has space for the uploads of unknown size', async (t) => {
  const [, mebibytes] = /tmpfs: \['\/tmp:size=(\d+)m/.exec(read('docker-compose.yml')) ?? []
  t.ok(Number(mebibytes) * 1024 * 1024 > checkSpoolOptions(undefined).maxTotalBytes)
})

t.test('DATABASE_URL selects the service mode', async (t) => {
  const config = readConfig({
    ...SERVICE,
    PORT: '8080',
    HOST: '0.0.0.0',
    LOG_LEVEL: 'warn',
    TRUST_PROXY: '10.0.0.0/8, ::1,loopback',
    PUBLIC_URL: 'https://files.example.org',
    S3_ALLOW_HOSTS: 'nas.lan:9000, 10.1.0.0/16',
    WEBDAV_ALLOW_HOSTS: 'nas.lan',
    NEXTCLOUD_ALLOW_HOSTS: '10.2.0.0/16',
    CACHE_TTL_MS: '5000',
    CACHE_MAX_SHARE_PER_USER: '0.5',
    CACHE_READ_AHEAD: 'false',
    CACHE_CHECK_AFTER_MS: '10000',
    CACHE_CHECK_NEXTCLOUD_MS: '60000',
    CACHE_COVERED_TTL_MS: '7200000',
    CACHE_STALE_IF_ERROR_MS: '0',
    LEASE_MS: '0',
    LIMIT_CONNECTIONS_PER_USER: '3',
    TIMEOUT_TOTAL_MS: '1',
    MANAGED_S3_PREFIX: 'a/b',
    MANAGED_S3_FORCE_PATH_STYLE: 'false',
    SOMETHING_ELSE: 'is no error'
  })
  if (config.mode !== 'service') return t.fail('not a service')
  t.equal(config.databaseUrl.reveal(), SERVICE.DATABASE_URL)
  const { current, keys } = config.encryption.reveal()
  t.same([current, Object.keys(keys), keys.k1], ['k2', ['k1', 'k2'], KEY])
  t.match(config, { port: 8080, host: '0.0.0.0', logLevel: 'warn', publicUrl: 'https://files.example.org', leaseMs: 0 })
  t.same(config.trustProxy, ['10.0.0.0/8', '::1', 'loopback'])
  t.same(config.allowHosts, {
    s3: ['nas.lan:9000', '10.1.0.0/16'],
    webdav: ['nas.lan'],
    nextcloud: ['10.2.0.0/16']
  })
  t.same(
    [config.cache, config.limits, config.timeouts],
    [
      {
        ttlMs: 5000,
        maxSharePerUser: 0.5,
        readAhead: false,
        check: { afterMs: 10_000, nextcloud: 60_000 },
        coveredTtlMs: 7_200_000,
        staleIfErrorMs: 0
      },
      { connectionsPerUser: 3 },
      { totalMs: 1 }
    ]
  )
  t.match(config.jwt, { algorithm: 'HS256', issuer: 'https://issuer.example', audience: 'documents' })
  t.same(config.managed, {
    type: 's3',
    endpoint: 'http://minio:9000',
    bucket: 'documents',
    prefix: 'a/b',
    forcePathStyle: false,
    credentials: { accessKeyId: 'access', secretAccessKey: 'PASSWORD-2' }
  })
  t.notMatch(JSON.stringify({ ...config, managed: null }), /PASSWORD|a secret of the tests/)
})

t.test('documents can be stored in a folder instead', async (t) => {
  const { MANAGED_S3_ENDPOINT: _e, MANAGED_S3_BUCKET: _b, ...rest } = SERVICE
  const { MANAGED_S3_ACCESS_KEY_ID: _a, MANAGED_S3_SECRET_ACCESS_KEY: _s, ...others } = rest
  const config = readConfig({ ...others, MANAGED_DISK_DIRECTORY: 'objects' })
  t.match(config, { managed: { type: 'disk', directory: resolve('objects') } })
  t.same(named(problems({ ...SERVICE, MANAGED_DISK_DIRECTORY: 'objects' })), ['MANAGED_DISK_DIRECTORY'])
})

t.test('a service without its secrets does not start, and the error lists all of them', async (t) => {
  const needed = [
    'ENCRYPTION_CURRENT_KEY',
    'ENCRYPTION_KEYS',
    'JWT_AUDIENCE',
    'JWT_ISSUER',
    'JWT_SECRET',
    'MANAGED_S3_BUCKET'
  ]
  t.same(named(problems({ DATABASE_URL: SERVICE.DATABASE_URL })), needed)
  t.same(named(problems({ NODE_ENV: 'production' })), ['DATABASE_URL', ...needed])
  const empty = Object.fromEntries(Object.keys(SERVICE).map((name) => [name, '']))
  t.same(named(problems({ ...empty, NODE_ENV: 'production' })), ['DATABASE_URL', ...needed])
  for (const name of Object.keys(SERVICE)) {
    if (name === 'DATABASE_URL' || name === 'MANAGED_S3_ENDPOINT') continue
    t.same(named(problems({ ...SERVICE, [name]: undefined })), [name])
  }
  t.same(named(problems({ ...SERVICE, NODE_ENV: 'production', DATABASE_URL: '' })), ['DATABASE_URL'])
})

t.test('a service configuration without a database does not start a demo', async (t) => {
  const { DATABASE_URL: _url, ...rest } = SERVICE
  const [problem, ...others] = problems(rest)
  t.same(others, [])
  t.match(problem, /^DATABASE_URL is missing, although ENCRYPTION_KEYS, .*JWT_SECRET.*MANAGED_S3_BUCKET/)
  t.match(problems({ NODE_ENV: 'development' }), [])
})

t.test('an invalid value is a problem that names its variable and does not repeat the value', async (t) => {
  const zero = Buffer.alloc(32).toString('base64')
  const unusable: Record<string, string[]> = {
    HOST: ['a b', 'http://x', '-:'],
    PORT: ['-1', '65536', '80.5', '0x50', 'http', '1e3', ' 80'],
    LOG_LEVEL: ['INFO', 'verbose'],
    TRUST_PROXY: ['true', '*', '1', '10.0.0.0/33', '10.0.0/8', 'proxy.lan', '::1/129'],
    PUBLIC_URL: ['files.example.org', 'ftp://files.example.org', 'https://user:UNTOLD@files.example.org'],
    SHUTDOWN_TIMEOUT_MS: ['0', '-5', 'soon', '2147483648'],
    S3_ALLOW_HOSTS: ['https://nas.lan', '*.lan', 'nas.lan:0', '10.0.0.0/40'],
    WEBDAV_ALLOW_HOSTS: ['*.lan'],
    NEXTCLOUD_ALLOW_HOSTS: ['*.lan'],
    CACHE_MAX_ENTRIES: ['0', 'many'],
    CACHE_MAX_BYTES: ['0', '1.5', '9007199254740993'],
    CACHE_TTL_MS: ['0', '1m'],
    CACHE_MAX_SHARE_PER_USER: ['0', '0.0', '1.1', '25', '25%', '-0.5', '1e-1'],
    CACHE_MAX_IN_FLIGHT_PER_USER: ['0'],
    CACHE_READ_AHEAD: ['0', 'no', 'FALSE'],
    CACHE_CHECK: ['0', 'off'],
    CACHE_CHECK_AFTER_MS: ['0', '15s'],
    CACHE_CHECK_ONEDRIVE_MS: ['0'],
    CACHE_CHECK_NEXTCLOUD_MS: ['0'],
    CACHE_COVERED_TTL_MS: ['0'],
    CACHE_STALE_IF_ERROR_MS: ['-1'],
    LEASE_MS: ['-1', 'x'],
    LIMIT_REFRESH_PER_MINUTE: ['0'],
    LIMIT_CONNECTIONS_PER_USER: ['0'],
    LIMIT_CONNECTS_PER_USER: ['0', 'x'],
    LIMIT_STREAMS_PER_USER: ['0', 'x'],
    LIMIT_FAILED_CONNECTS_PER_MINUTE: ['0', 'x'],
    LIMIT_MIN_BYTES_PER_SECOND: ['-1', 'x'],
    LIMIT_TRANSFERS_PER_USER: ['0', 'x'],
    TIMEOUT_CONNECT_MS: ['0'],
    TIMEOUT_HEADERS_MS: ['0'],
    TIMEOUT_IDLE_MS: ['0'],
    TIMEOUT_TOTAL_MS: ['0'],
    DATABASE_URL: ['mysql://user:UNTOLD@db/x', 'postgres://[UNTOLD', 'UNTOLD'],
    ENCRYPTION_KEYS: [
      'UNTOLD',
      'k2:UNTOLD',
      `k2:${zero}`,
      `k2:${KEY},k2:${KEY}`,
      `k1:${KEY},k2:${KEY}`,
      `k2:${KEY}UNTOLD`,
      ':UNTOLD'
    ],
    ENCRYPTION_CURRENT_KEY: ['k3', 'UNTOLD'],
    JWT_SECRET: ['UNTOLD', `UNTOLD${'x'.repeat(25)}`],
    JWT_ALGORITHM: ['none', 'RS256', 'HS512'],
    MANAGED_S3_ENDPOINT: ['minio:9000', 'http://minio:9000/path', 'http://user:UNTOLD@minio'],
    MANAGED_S3_PUBLIC_ENDPOINT: ['minio'],
    MANAGED_S3_REGION: ['here and there'],
    MANAGED_S3_BUCKET: ['a', 'with/slash', 'b--x-s3'],
    MANAGED_S3_PREFIX: ['../up', '/a', 'a//b'],
    MANAGED_S3_ACCESS_KEY_ID: ['with space', 'a/b'],
    MANAGED_S3_SECRET_ACCESS_KEY: ['UNTOLD\n', 'UNTÖLD'],
    MANAGED_S3_FORCE_PATH_STYLE: ['yes', '1'],
    NODE_ENV: ['prod', 'Production', 'staging', ' '],
    DATABASE_DIRECT_URL: ['mysql://user:UNTOLD@db/x', 'UNTOLD', 'postgres://[UNTOLD'],
    MIGRATE: ['no', '0', 'FALSE'],
    DATABASE_LISTEN: ['no', '1'],
    REDIS_URL: ['http://user:UNTOLD@redis', 'redis', 'rediss://[UNTOLD'],
    METRICS_PORT: ['70000', 'x', '3000', '-1'],
    TRANSFERS: ['no', '1'],
    TRANSFER_MAX_BYTES: ['0', '1 GB', '-1'],
    JWT_ISSUER: ['https://issuer.example\n', ' x', '\t'],
    JWT_AUDIENCE: ['documents ', 'a\u0000'],
    JWT_PUBLIC_KEY: ['UNTOLD', '-----BEGIN PUBLIC KEY-----\\nUNTOLD'],
    ONEDRIVE_TENANT: ['a/b', 'UNTOLD UNTOLD'],
    CORS_ORIGINS: [
      ...['*', 'null', 'true', 'app.example.org', 'https://', 'https://*', 'https://*.example.org', 'https://[::1'],
      ...['http://app.example.org', 'http://10.0.0.1', 'http://localhost.example.org', 'ftp://app.example.org'],
      ...['javascript:alert(1)', 'file:///', 'data:,x', 'blob:https://app.example.org'],
      ...[
        'https://app.example.org/',
        'https://app.example.org/path',
        'https://app.example.org?x',
        'https://app.example.org#x'
      ],
      ...[
        'https://app.example.org:443',
        'HTTPS://app.example.org',
        'https://APP.example.org',
        'https://äpp.example.org'
      ],
      ...['https://UNTOLD@app.example.org', 'https://u:UNTOLD@app.example.org'],
      ...['https://a.example.org https://b.example.org', 'https://a.example.org;https://b.example.org'],
      'https://a.example.org,*',
      'https://a.example.org,https://b.example.org/'
    ],
    SPOOL_MAX_BYTES: ['0', 'x'],
    SPOOL_MAX_BYTES_PER_USER: ['0', 'x'],
    SPOOL_MAX_TOTAL_BYTES: ['0', 'x'],
    ...Object.fromEntries(
      ['GOOGLE_DRIVE', 'ONEDRIVE', 'DROPBOX', 'BOX'].flatMap((provider) => [
        [`${provider}_CLIENT_ID`, [' ', 'id\n', '']],
        [`${provider}_CLIENT_SECRET`, ['UNTOLD ', '\tUNTOLD', '']],
        [`${provider}_SCOPES`, ['a b', '"a"']]
      ])
    )
  }
  /** The other variables that a value requires to be validated. */
  const beside = (name: string): Record<string, string> => {
    const [, provider] = /^(\w+?)_(?:CLIENT_ID|CLIENT_SECRET|SCOPES|TENANT)$/.exec(name) ?? []
    if (name === 'JWT_PUBLIC_KEY') return { JWT_SECRET: '', JWT_ALGORITHM: 'RS256' }
    if (provider === undefined) return {}
    const registration = { [`${provider}_CLIENT_ID`]: 'id', [`${provider}_CLIENT_SECRET`]: 'secret' }
    return { PUBLIC_URL: 'https://files.example.org', ...registration }
  }
  /** Folders are validated when they are opened; the other variables are for docker-compose.yml only. */
  const elsewhere = [
    'DATA_DIR',
    'SPOOL_FOLDER',
    'MANAGED_DISK_DIRECTORY',
    'POSTGRES_PASSWORD',
    'MINIO_ROOT_USER',
    'MINIO_ROOT_PASSWORD'
  ]
  t.same([...Object.keys(unusable), ...elsewhere].sort(), [...documented().keys()].sort(), 'every variable is tested')
  for (const [name, values] of Object.entries(unusable)) {
    for (const value of values) {
      const found = problems({ ...SERVICE, ...beside(name), [name]: value })
      t.ok(found.length > 0, `${name}=${value}`)
      if (name === 'CORS_ORIGINS') t.equal(found.length, 1, 'in one line')
      t.notMatch(found.join(''), /\n/, 'one line per problem')
      t.ok(
        found.every((problem) => problem.startsWith(`${name} `) || name === 'ENCRYPTION_KEYS'),
        found.join('; ')
      )
      t.notMatch(found.join(' '), /UNTOLD|UNTÖLD|PASSWORD/, `${name}=${value}`)
      t.notOk(found.join(' ').includes(KEY))
    }
  }
})

t.test('a current key without any keys is reported as a problem of the keys, in a complete sentence', async (t) => {
  for (const ENCRYPTION_KEYS of [',', ' , ', `k1:${KEY}`]) {
    const [problem = '', ...others] = problems({ ...SERVICE, ENCRYPTION_KEYS, ENCRYPTION_CURRENT_KEY: 'k9' })
    t.same(others, [])
    t.match(
      problem,
      ENCRYPTION_KEYS.startsWith('k1')
        ? /^ENCRYPTION_CURRENT_KEY is not the name of a key/
        : /^ENCRYPTION_KEYS contains no key/
    )
    t.notMatch(problem, /[\s:]$/)
  }
  t.same(named(problems({ ...SERVICE, ENCRYPTION_KEYS: '', ENCRYPTION_CURRENT_KEY: 'k9' })), ['ENCRYPTION_KEYS'])
})

t.test('all problems are reported together', async (t) => {
  const wrong = {
    ...SERVICE,
    PORT: 'x',
    LOG_LEVEL: 'x',
    JWT_SECRET: 'short',
    MANAGED_S3_BUCKET: '',
    S3_ALLOW_HOSTS: '*,nas.lan,://'
  }
  const expected = ['JWT_SECRET', 'LOG_LEVEL', 'MANAGED_S3_BUCKET', 'PORT', 'S3_ALLOW_HOSTS', 'S3_ALLOW_HOSTS']
  t.same(named(problems(wrong)), expected)
  t.throws(() => readConfig(wrong), { message: /^The configuration is invalid:\n( {2}- .+\n?){6}$/ })
})

t.test('a public key is accepted only with its algorithm', async (t) => {
  const pairs = {
    rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    short: generateKeyPairSync('rsa', { modulusLength: 1024 }),
    p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    ed25519: generateKeyPairSync('ed25519')
  }
  const { JWT_SECRET: _secret, ...rest } = SERVICE
  const fitting: Record<string, string> = { rsa: 'RS256', p256: 'ES256', ed25519: 'EdDSA' }
  for (const [kind, { publicKey, privateKey }] of Object.entries(pairs)) {
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
    for (const algorithm of ['RS256', 'ES256', 'EdDSA']) {
      const found = problems({ ...rest, JWT_PUBLIC_KEY: pem, JWT_ALGORITHM: algorithm })
      t.same(named(found), fitting[kind] === algorithm ? [] : ['JWT_PUBLIC_KEY'], `${kind} ${algorithm}`)
    }
    const inOneLine = {
      ...rest,
      JWT_PUBLIC_KEY: pem.trim().replaceAll('\n', '\\n'),
      JWT_ALGORITHM: fitting[kind] ?? 'RS256'
    }
    t.equal(problems(inOneLine).length, kind in fitting ? 0 : 1, `${kind} in one line`)
    t.same(named(problems({ ...rest, JWT_PUBLIC_KEY: pem })), ['JWT_ALGORITHM'])
    t.same(named(problems({ ...rest, JWT_PUBLIC_KEY: pem, JWT_ALGORITHM: 'HS256' })), ['JWT_ALGORITHM'])
    t.same(named(problems({ ...SERVICE, JWT_PUBLIC_KEY: pem, JWT_ALGORITHM: 'RS256' })), ['JWT_SECRET'])
    const secret = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const found = problems({ ...rest, JWT_PUBLIC_KEY: secret, JWT_ALGORITHM: fitting[kind] ?? 'RS256' })
    t.same(named(found), ['JWT_PUBLIC_KEY'], `the private key of ${kind}`)
    t.notMatch(found.join(), secret.split('\n')[1])
  }
})

t.test('resources that several instances share can be named or omitted', async (t) => {
  t.match(readConfig({}), { isListenEnabled: true, redisUrl: undefined, metricsPort: undefined })
  const config = readConfig({
    DATABASE_LISTEN: 'false',
    REDIS_URL: 'rediss://user:PASSWORD@redis:6379/0',
    METRICS_PORT: '9100'
  })
  t.match(config, { isListenEnabled: false, metricsPort: 9100 })
  t.equal(config.redisUrl?.reveal(), 'rediss://user:PASSWORD@redis:6379/0')
  t.notMatch(JSON.stringify(config), /PASSWORD/)
  const wrong = problems({ DATABASE_LISTEN: 'no', REDIS_URL: 'http://PASSWORD@redis', METRICS_PORT: '70000' })
  t.same(named(wrong), ['DATABASE_LISTEN', 'METRICS_PORT', 'REDIS_URL'])
  t.notMatch(wrong.join(), /PASSWORD/)
})

/** The variables of `.env.example`, with their defaults. */
function documented(): Map<string, string> {
  return new Map(
    [...read('.env.example').matchAll(/^#([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value])
  )
}

/** Returns all variables that the configuration reads, in any mode. */
function asked(): Set<string> {
  const names = new Set<string>()
  const { JWT_SECRET: _secret, ...rest } = SERVICE
  for (const variables of [{}, SERVICE, { ...rest, JWT_PUBLIC_KEY: 'x' }]) {
    const spy = new Proxy<Record<string, string | undefined>>(variables, {
      get: (target, name) => {
        names.add(String(name))
        return target[String(name)]
      }
    })
    problems(spy)
  }
  return names
}

t.test('.env.example has every variable that the configuration reads and no other', async (t) => {
  const compose = [...read('docker-compose.yml').matchAll(/\$\{([A-Z0-9_]+)/g)].map(([, name = '']) => name)
  const known = new Set([...asked(), ...compose])
  t.same([...documented().keys()].sort(), [...known].sort())
  t.notMatch(read('.env.example'), /^[^#\s]/m, 'it sets no variable')
})

t.test('the defaults in .env.example are those of the server and of the plugin', async (t) => {
  const given = Object.fromEntries([...documented()].filter(([, value]) => value !== ''))
  const { MANAGED_S3_REGION: region, ...common } = given
  t.equal(region, 'us-east-1')
  const { dataDir, host, port, logLevel, shutdownTimeoutMs, ...plugins } = readConfig(common) as ReturnType<
    typeof readConfig
  > & {
    dataDir: string
  }
  t.match(readConfig({}), { dataDir, host, port, logLevel, shutdownTimeoutMs })
  const { cache, freshness, readAhead, limits, timeouts, leaseMs, spool } = checkOptions({
    authenticate: () => '',
    encryption: { current: '', keys: {} },
    prisma: { cloudConnection: {}, oAuthState: {}, $transaction: 0, $queryRaw: 0, $executeRaw: 0 } as never
  })
  const { checkMsOf, ...lifetimes } = freshness
  const [afterMs, onedrive, nextcloud] = ['s3', 'onedrive', 'nextcloud'].map((provider) => checkMsOf?.(provider))
  t.same(plugins.cache, { ...cache, ...lifetimes, readAhead, check: { afterMs, onedrive, nextcloud } })
  t.same(plugins.limits, limits)
  t.same(plugins.timeouts, timeouts)
  t.same({ folder: undefined, ...plugins.spool }, spool)
  t.equal(plugins.leaseMs, leaseMs)
  t.equal(plugins.isListenEnabled, readConfig({}).isListenEnabled)
})

t.test('docker-compose.yml passes every variable to the service, except those that it sets itself', async (t) => {
  const compose = read('docker-compose.yml')
  const handed = [...compose.matchAll(/^ {6}([A-Z][A-Z0-9_]*):/gm)].map(([, name = '']) => name)
  const decided = ['DATA_DIR', 'MANAGED_DISK_DIRECTORY']
  const missing = [...asked()].filter((name) => !handed.includes(name) && !decided.includes(name))
  t.same(missing, [])
  t.notMatch(compose, /- ['"]?\d+:\d+|ports: \['\d{2,5}:/, 'no port is published on all addresses')
})

t.test('the image contains each package that a source file imports', async (t) => {
  // Plain JavaScript without types.
  const path: string = new URL('scripts/server-dependencies.mjs', ROOT).href
  const { SERVER_DEPENDENCIES } = (await import(path)) as { SERVER_DEPENDENCIES: string[] }
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<string, Record<string, string>>
  const kept = new Set([...Object.keys(dependencies ?? {}), ...SERVER_DEPENDENCIES])
  const imported = sourcePaths()
    // Imports of the picker and the page are bundled into their builds.
    .filter((path) => !/^web\//.test(path))
    .flatMap((path) => parseSource({ path, source: readFileSync(new URL(path, ROOT), 'utf8') }).imports)
    .filter(({ kind, specifier }) => kind !== 'type' && specifier !== null && !/^(?:\.|node:)/.test(specifier))
    .map(({ specifier }) => /^(?:@[^/]+\/)?[^/]+/.exec(specifier ?? '')?.[0] ?? '')
  const lost = new Set(imported.filter((name) => !kept.has(name)))
  // The demo's store: the image is used as a service.
  t.same([...lost], ['fauxqs'])
  for (const name of SERVER_DEPENDENCIES) t.ok(devDependencies?.[name], `${name} is a development dependency`)
})

t.test('an OAuth provider is enabled by a complete registration', async (t) => {
  const registered = {
    ...SERVICE,
    PUBLIC_URL: 'https://files.example.org',
    GOOGLE_DRIVE_CLIENT_ID: 'id',
    GOOGLE_DRIVE_CLIENT_SECRET: 'PASSWORD-3'
  }
  t.same(readConfig(SERVICE).registrations, {})
  const { google_drive: drive } = readConfig(registered).registrations
  t.equal(drive?.clientId, 'id')
  t.equal(drive?.clientSecret.reveal(), 'PASSWORD-3')
  t.notOk(drive && 'scopes' in drive, 'the default of the plugin applies')
  t.notMatch(JSON.stringify(readConfig(registered)), 'PASSWORD-3')
  const { google_drive: scoped } = readConfig({ ...registered, GOOGLE_DRIVE_SCOPES: 'a, b' }).registrations
  t.same(scoped?.scopes, ['a', 'b'])

  t.same(named(problems({ ...registered, GOOGLE_DRIVE_CLIENT_SECRET: '' })), ['GOOGLE_DRIVE_CLIENT_SECRET'])
  for (const PUBLIC_URL of ['', 'http://files.example.org', 'https://files.example.org/?a=b']) {
    t.same(named(problems({ ...registered, PUBLIC_URL })), ['PUBLIC_URL'], PUBLIC_URL)
  }
  t.same(problems({ ...registered, PUBLIC_URL: 'http://127.0.0.1:3000' }), [])
  t.same(named(problems({ ...registered, GOOGLE_DRIVE_SCOPES: 'a b' })), ['GOOGLE_DRIVE_SCOPES'])
  const others = {
    ONEDRIVE_CLIENT_ID: 'a',
    ONEDRIVE_CLIENT_SECRET: 'b',
    ONEDRIVE_TENANT: 'example.org',
    DROPBOX_CLIENT_ID: 'c',
    DROPBOX_CLIENT_SECRET: 'd',
    BOX_CLIENT_ID: 'e',
    BOX_CLIENT_SECRET: 'f'
  }
  const { registrations } = readConfig({ ...registered, ...others })
  t.same(Object.keys(registrations), ['google_drive', 'onedrive', 'dropbox', 'box'])
  t.match(registrations['onedrive'], { clientId: 'a', tenant: 'example.org' })
  t.notOk(registrations['box'] && 'tenant' in registrations['box'])
  t.same(named(problems({ ...registered, ...others, ONEDRIVE_TENANT: 'a/b' })), ['ONEDRIVE_TENANT'])
  t.same(named(problems({ ...registered, ONEDRIVE_TENANT: 'common' })), [
    'ONEDRIVE_CLIENT_ID',
    'ONEDRIVE_CLIENT_SECRET'
  ])
  t.same(named(problems({ ...SERVICE, GOOGLE_DRIVE_SCOPES: 'a' })), [
    'GOOGLE_DRIVE_CLIENT_ID',
    'GOOGLE_DRIVE_CLIENT_SECRET',
    'PUBLIC_URL'
  ])
})
