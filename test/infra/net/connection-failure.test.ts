import t from 'tap'
import { Diagnosis, StorageError } from '../../../src/domain/errors.ts'
import { connectionFailure } from '../../../src/infra/net/connection-failure.ts'

const withCode = (code: unknown, message = 'Bearer SECRET'): Error => Object.assign(new Error(message), { code })

t.test('a failure is known by its code', async (t) => {
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

t.test('the log is told whom we called and a code, and nothing that came from there', async (t) => {
  const told = (error: unknown): string => (connectionFailure(error, 'S3').cause as Diagnosis).message
  t.equal(told(withCode('ECONNRESET')), 'S3 gave no answer ECONNRESET')
  for (const code of ['Bearer SECRET', 'SECRET\n', 'S'.repeat(65), '', { SECRET: 1 }, null])
    t.equal(told(withCode(code)), 'S3 gave no answer')
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

t.test('a refusal of ours comes back as it was, through whatever wrapped it', async (t) => {
  const refusal = new StorageError('ENDPOINT_FORBIDDEN', 'This server may not be used.')
  let wrapped: Error = refusal
  for (let depth = 0; depth < 5; depth++) {
    t.equal(connectionFailure(wrapped, 'S3'), refusal, `${depth} deep`)
    wrapped = new Error('SDK', { cause: wrapped })
  }
  t.equal(connectionFailure(wrapped, 'S3').code, 'PROVIDER_ERROR')
})

t.test('causes that lead in a circle end', async (t) => {
  const error = new Error('circle')
  error.cause = error
  t.equal(connectionFailure(error, 'S3').code, 'PROVIDER_ERROR')
})
