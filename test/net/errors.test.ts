import t from 'tap'
import { Diagnosis, StorageError } from '../../src/errors.ts'
import { connectionFailure, describeExchange, readRetryAfter } from '../../src/net/errors.ts'
import { setEnvironment } from '../support/process/environment.ts'

const withCode = (code: unknown, message = 'Bearer SECRET'): Error => Object.assign(new Error(message), { code })

t.test('a failure is mapped by its code', async (t) => {
  const cases: [unknown, string, boolean][] = [
    ['ECONNREFUSED', 'PROVIDER_UNAVAILABLE', true],
    ['ECONNRESET', 'PROVIDER_UNAVAILABLE', true],
    ['ENOTFOUND', 'PROVIDER_UNAVAILABLE', true],
    ['UND_ERR_SOCKET', 'PROVIDER_UNAVAILABLE', true],
    ['UND_ERR_DESTROYED', 'PROVIDER_UNAVAILABLE', true],
    ['ETIMEDOUT', 'PROVIDER_TIMEOUT', true],
    ['UND_ERR_HEADERS_TIMEOUT', 'PROVIDER_TIMEOUT', true],
    ['HPE_INVALID_CONSTANT', 'PROVIDER_ERROR', false],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'PROVIDER_ERROR', false],
    ['constructor', 'PROVIDER_ERROR', false],
    ['__proto__', 'PROVIDER_ERROR', false],
    [42, 'PROVIDER_ERROR', false],
    [undefined, 'PROVIDER_ERROR', false]
  ]
  for (const [code, expected, retryable] of cases) {
    const failure = connectionFailure(withCode(code), 'GET https://nas.lan')
    t.match(failure, { code: expected, retryable }, String(code))
    t.type(failure.message, 'string')
  }
  t.equal(connectionFailure(Object.assign(new Error(''), { name: 'TimeoutError' }), 'S3').code, 'PROVIDER_TIMEOUT')
})

t.test('the log contains the called origin and a code, and no text of the server', async (t) => {
  const told = (error: unknown): string => (connectionFailure(error, 'S3').cause as Diagnosis).message
  t.equal(told(withCode('ECONNRESET')), 'S3 sent no response ECONNRESET')
  for (const code of ['Bearer SECRET', 'SECRET\n', 'S'.repeat(65), '', { SECRET: 1 }, null])
    t.equal(told(withCode(code)), 'S3 sent no response')
  for (const error of [
    'Bearer SECRET',
    null,
    undefined,
    42,
    new Error('Bearer SECRET'),
    { message: 'Bearer SECRET' }
  ]) {
    const failure = connectionFailure(error, 'S3')
    t.type(failure.cause, Diagnosis)
    t.equal((failure.cause as Diagnosis).cause, error)
    t.notMatch(`${failure.message} ${told(error)}`, /SECRET/)
  }
})

t.test('a refusal of the egress rules is found in any error that wraps it', async (t) => {
  const refusal = new StorageError('ENDPOINT_FORBIDDEN', 'This server may not be used.')
  let wrapped: Error = refusal
  for (let depth = 0; depth < 5; depth++) {
    t.equal(connectionFailure(wrapped, 'S3'), refusal, `depth ${depth}`)
    wrapped = new Error('SDK', { cause: wrapped })
  }
  t.equal(connectionFailure(wrapped, 'S3').code, 'PROVIDER_ERROR')
})

t.test('a cycle of causes ends', async (t) => {
  const error = new Error('circle')
  error.cause = error
  t.equal(connectionFailure(error, 'S3').code, 'PROVIDER_ERROR')
})

const DATE = 'Sun, 06 Nov 1994 08:49:37 GMT'

t.test('Retry-After in seconds is parsed', async (t) => {
  t.equal(readRetryAfter({ 'retry-after': '0' }), 0)
  t.equal(readRetryAfter({ 'retry-after': ' 120 ' }), 120_000)
  t.equal(readRetryAfter({ 'retry-after': '999999999' }), 999_999_999_000)
})

t.test('a date is relative to the Date header, in each form of HTTP and in any time zone', async (t) => {
  for (const tz of ['UTC', 'America/New_York', 'Asia/Kolkata']) {
    setEnvironment(t, { TZ: tz })
    for (const date of [DATE, 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])
      for (const [value, waitMs] of [
        ['Sun, 06 Nov 1994 08:50:37 GMT', 60_000],
        ['Sunday, 06-Nov-94 08:50:37 GMT', 60_000],
        ['Sun Nov  6 08:50:37 1994', 60_000],
        ['Sun, 06 Nov 1994 08:49:37 GMT', 0],
        ['Sun, 06 Nov 1994 08:48:37 GMT', 0]
      ] as const)
        t.equal(readRetryAfter({ 'retry-after': value, date }), waitMs, `${value} from ${date} in ${tz}`)
  }
})

t.test('any other value means no delay', async (t) => {
  const values = [
    '',
    ' ',
    '-1',
    '+5',
    '1.5',
    '1e3',
    '0x10',
    'Infinity',
    'NaN',
    '1, 2',
    '9999999999',
    'soon',
    'Bearer SECRET',
    '1994-11-06T08:49:37Z',
    'Sun, 06 Nov 1994',
    'Sun, 99 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 08:49:37 +0100',
    `Sun, ${' '.repeat(50_000)}08:49:37 GMT`
  ]
  for (const value of values)
    t.equal(readRetryAfter({ 'retry-after': value, date: DATE }), undefined, value.slice(0, 60))
  t.equal(readRetryAfter({}), undefined)
  t.equal(readRetryAfter(undefined), undefined)
})

t.test('a date without a Date header means no delay', async (t) => {
  for (const date of [undefined, '', 'now', '0']) t.equal(readRetryAfter({ 'retry-after': DATE, date }), undefined)
})

t.test('an exchange is described by method, origin, status and a few headers', async (t) => {
  const url = new URL('https://nas.lan:8443/files/a?b=c')
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'content-length': '120',
    'content-encoding': 'gzip',
    'retry-after': '5',
    server: 'nginx'
  }
  t.equal(describeExchange('GET', url), 'GET https://nas.lan:8443')
  t.equal(describeExchange('GET', url, { status: 204, headers: {} }), 'GET https://nas.lan:8443 answered 204')
  t.equal(
    describeExchange('PROPFIND', url, { status: 503, headers }),
    'PROPFIND https://nas.lan:8443 answered 503 ' +
      '(content-type: text/html, content-length: 120, content-encoding: gzip, retry-after: 5)'
  )
})

t.test('no part of a URL except its origin is described', async (t) => {
  const url = new URL('https://SECRET:SECRET@nas.lan/Bearer SECRET;SECRET/?token=Bearer SECRET#SECRET')
  t.equal(describeExchange('GET', url), 'GET https://nas.lan')
})

t.test('no header reveals a secret, whatever its name and value are', async (t) => {
  const names = ['content-type', 'content-length', 'content-encoding', 'retry-after', 'location', 'www-authenticate']
  const values = [
    'Bearer SECRET',
    'SECRET',
    'text/SECRET',
    'SECRET/plain',
    'text/html SECRET',
    'text/html; SECRET',
    'text/htmlSECRET',
    'text/html\nSECRET',
    'application/json+SECRET',
    'gzip SECRET',
    'gzip, SECRET',
    '5 SECRET',
    '5\r\nSECRET',
    'SECRET 5'
  ]
  for (const name of [...names, 'set-cookie', 'x-request-id', 'SECRET', '__proto__', 'constructor'])
    for (const value of values) {
      const headers = Object.fromEntries([[name, value]])
      const told = describeExchange('GET', new URL('https://nas.lan'), { status: 200, headers })
      t.notMatch(told, /secret|[\r\n]/i, `${name}: ${value}`)
    }
})
