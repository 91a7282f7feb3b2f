import t from 'tap'
import { readRetryAfter } from '../../../src/infra/net/retry-after.ts'
import { setEnvironment } from '../../support/environment.ts'

const DATE = 'Sun, 06 Nov 1994 08:49:37 GMT'

t.test('seconds', async (t) => {
  t.equal(readRetryAfter({ 'retry-after': '0' }), 0)
  t.equal(readRetryAfter({ 'retry-after': ' 120 ' }), 120_000)
  t.equal(readRetryAfter({ 'retry-after': '999999999' }), 999_999_999_000)
})

t.test('a date counts from that of the answer, in each form of HTTP, wherever we are', async (t) => {
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

t.test('what is neither is no wait', async (t) => {
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

t.test('a date without a date to count from is no wait', async (t) => {
  for (const date of [undefined, '', 'now', '0']) t.equal(readRetryAfter({ 'retry-after': DATE, date }), undefined)
})
