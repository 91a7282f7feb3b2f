import t from 'tap'
import { Diagnosis, StorageError } from '../../src/domain/errors.ts'
import { entry, page } from '../support/scripted-backend.ts'
import { testApp } from '../support/app.ts'

t.test('the log names what an operator needs, and no word of an upstream', async (t) => {
  const lines: string[] = []
  const { as, connect, scripted } = await testApp(
    t,
    {},
    { logger: { stream: { write: (line: string) => lines.push(line) } } }
  )
  await connect('ann')
  const upstream = Object.assign(new Error('Bearer SECRET'), {
    name: 'AccessDenied',
    code: 'E SECRET',
    $metadata: { httpStatusCode: 403 },
    config: { headers: { authorization: 'SECRET' } }
  })
  const failures: [StorageError, RegExp][] = [
    [
      new StorageError('SDK_MISSING', 'm', { cause: new Diagnosis('npm install x', { cause: upstream }) }),
      /npm install x/
    ],
    [new StorageError('PROVIDER_UNAVAILABLE', 'm', { cause: upstream }), /AccessDenied.*403/],
    [new StorageError('PROVIDER_ERROR', 'm', { cause: 'SECRET' }), /PROVIDER_ERROR/]
  ]
  for (const [failure, expected] of failures) {
    lines.length = 0
    scripted.backend.list = () => Promise.reject(failure)
    const answer = await as('ann').get('/cloud/scripted/listing')
    t.ok(answer.statusCode >= 500)
    t.match(lines.join(''), expected)
    t.notMatch(lines.join('') + answer.body, /SECRET/)
    t.notMatch(answer.body, /npm install/)
  }
  lines.length = 0
  scripted.backend.list = async () => page([entry('a')])
  await as('ann').get('/cloud/scripted/listing?folder=none')
  t.notMatch(lines.join(''), /"level":[45]0/, 'a success is no failure')
})
