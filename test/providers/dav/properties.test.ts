import t from 'tap'
import { readCount, readETag, readFacts, readMediaType, readTime } from '../../../src/providers/dav/properties.ts'

t.test('an ETag is read with and without quotes, and without what is no character of one', async (t) => {
  for (const [text, opaque, isWeak] of [
    ['"a"', 'a', false],
    ['W/"a"', 'a', true],
    [' "a-b" ', 'a-b', false],
    ['abc', 'abc', false],
    [`"${'x'.repeat(1024)}"`, 'x'.repeat(1024), false]
  ] as const) {
    t.same(readETag(text), { opaque, isWeak }, text.slice(0, 20))
  }
  for (const none of [
    undefined,
    null,
    '',
    '""',
    '"a"b"',
    '"a b"',
    '"a\r\nX: y"',
    '"\u00e9"',
    `"${'x'.repeat(1025)}"`
  ]) {
    t.equal(readETag(none), null, String(none).slice(0, 20))
  }
})

t.test('a date is one of RFC 3339 or of HTTP, and nothing else', async (t) => {
  for (const [text, iso] of [
    ['Sun, 06 Nov 1994 08:49:37 GMT', '1994-11-06T08:49:37.000Z'],
    ['Sunday, 06-Nov-94 08:49:37 GMT', '1994-11-06T08:49:37.000Z'],
    ['1994-11-06T08:49:37Z', '1994-11-06T08:49:37.000Z'],
    ['1994-11-06T08:49:37.5+01:00', '1994-11-06T07:49:37.500Z']
  ] as const) {
    t.equal(readTime(text), iso)
  }
  const nonsense = [
    '',
    '5',
    'yesterday',
    '1994-11-06',
    '1994-11-06T08:49:37',
    '1994-13-06T08:49:37Z',
    'Sun, 06 Nov 1994 08:49:37'
  ]
  for (const text of [...nonsense, undefined, {}]) t.equal(readTime(text), null, JSON.stringify(text))
})

t.test('a count is a whole number that is not negative', async (t) => {
  t.equal(readCount('0'), 0)
  t.equal(readCount('123456789012345'), 123456789012345)
  for (const text of ['-1', '', '1.5', '1e3', '0x1', ' 1', '1234567890123456', undefined, {}])
    t.equal(readCount(text), null)
})

t.test('a media type could stand in a header', async (t) => {
  t.equal(readMediaType('text/plain; charset="utf-8"'), 'text/plain; charset="utf-8"')
  for (const text of ['', 'text', 'a/b\r\nX: y', `a/${'b'.repeat(200)}`, {}, undefined])
    t.equal(readMediaType(text), null)
})

t.test('a folder has no size and no type', async (t) => {
  const properties = { resourcetype: { collection: '' }, getcontentlength: '5', getcontenttype: 'a/b' }
  t.match(readFacts({ href: '/', status: 200, properties }), { isCollection: true, size: null, mimeType: null })
  t.match(readFacts({ href: '/', status: 200, properties: { ...properties, resourcetype: '' } }), {
    size: 5,
    mimeType: 'a/b'
  })
})
