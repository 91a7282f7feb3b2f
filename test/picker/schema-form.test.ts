import t from 'tap'
import { PickerProblem } from '../../src/picker/problem.ts'
import { bodyOf, complaintsFrom, complaintsOf, defaultsOf, fieldsOf } from '../../src/picker/schema-form.ts'
import { S3 } from '../support/picker-entries.ts'

const SCHEMA = 'schema' in S3.connect ? S3.connect.schema : { properties: {} }
const FIELDS = fieldsOf(SCHEMA)
const GOOD = { endpoint: 'https://x', bucket: 'bucket', secretAccessKey: 'k', region: '', forcePathStyle: true }

t.test('fields come from the schema, those that are needed first, and secrets are hidden', async (t) => {
  t.same(
    FIELDS.map(({ name, input, isRequired }) => [name, input, isRequired]),
    [
      ['endpoint', 'text', true],
      ['bucket', 'text', true],
      ['secretAccessKey', 'password', true],
      ['region', 'text', false],
      ['forcePathStyle', 'checkbox', false]
    ]
  )
  t.match(defaultsOf(FIELDS), { region: 'us-east-1', endpoint: '', forcePathStyle: true })
})

t.test('what the server would refuse is said before it is asked', async (t) => {
  t.same(complaintsOf(FIELDS, GOOD), {})
  t.same(complaintsOf(FIELDS, { ...GOOD, endpoint: '', bucket: 'X!' }), {
    endpoint: { key: 'fieldRequired' },
    bucket: { key: 'fieldPattern' }
  })
  const fields = fieldsOf({
    properties: {
      short: { type: 'string', minLength: 3 },
      long: { type: 'string', maxLength: 2 },
      port: { type: 'integer', minimum: 1, maximum: 9 }
    }
  })
  t.same(complaintsOf(fields, { short: 'ab', long: 'abc', port: '1.5' }), {
    short: { key: 'fieldShort', n: 3 },
    long: { key: 'fieldLong', n: 2 },
    port: { key: 'fieldNumber' }
  })
  t.same(complaintsOf(fields, { long: '😀😀', port: '0' }), { port: { key: 'fieldSmall', n: 1 } })
  t.same(complaintsOf(fields, { port: '10' }), { port: { key: 'fieldLarge', n: 9 } })
})

t.test('what is empty is left out, and numbers are numbers', async (t) => {
  t.same(bodyOf(FIELDS, GOOD), {
    endpoint: 'https://x',
    bucket: 'bucket',
    secretAccessKey: 'k',
    forcePathStyle: true
  })
  const fields = fieldsOf({ properties: { port: { type: 'integer' }, mode: { enum: ['a', 2] } } })
  t.same(bodyOf(fields, { port: '21', mode: '2' }), { port: 21, mode: 2 })
})

t.test('a field that the server names is the one that complains', async (t) => {
  const named = (detail: string) => complaintsFrom(new PickerProblem('INVALID_REQUEST', { detail }), FIELDS)
  t.same(named('body/bucket must match'), { bucket: { text: 'body/bucket must match' } })
  t.same(Object.keys(named('The field "endpoint" must be https.')), ['endpoint'])
  t.same(named('The field "nobody" is odd.'), {})
  t.same(complaintsFrom(new PickerProblem('NETWORK'), FIELDS), {})
})
