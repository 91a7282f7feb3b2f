import fc from 'fast-check'
import t from 'tap'
import { Secret } from '../../../src/core/secret.ts'
import { readMetadata, readTime } from '../../../src/providers/dav/entries.ts'
import { DavPaths } from '../../../src/providers/dav/paths.ts'
import { readBaseUrl } from '../../../src/providers/dav/settings.ts'
import { provider as nextcloud } from '../../../src/providers/nextcloud/index.ts'
import { readServerUrl } from '../../../src/providers/nextcloud/settings.ts'
import { readCount, readETag, readMediaType } from '../../../src/providers/shared/entries.ts'
import { provider as webdav } from '../../../src/providers/webdav/index.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { anyText } from '../../support/listing/arbitraries.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'

const BASES = ['https://h.example/dav/', 'https://h.example/', 'http://[::1]:8080/a%20b/%C3%A9/', 'http://10.0.0.1/a/']
const segment = anyText({ minLength: 1, maxLength: 20 }).filter((text) => !text.includes('/'))
const anyId = fc.tuple(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.boolean())

t.test('every valid id can be restored from its URL', async () => {
  for (const base of BASES) {
    const paths = new DavPaths(new URL(base))
    fc.assert(
      fc.property(anyId, ([segments, isFolder]) => {
        const id = segments.join('/') + (isFolder ? '/' : '')
        if (!paths.isUsable(id)) return true
        const url = paths.urlOf(id)
        const told = paths.segmentsOf(url.pathname)
        const absolute = paths.segmentsOf(url.href)
        const expected = (isFolder ? id.slice(0, -1) : id).split('/')
        return (
          url.href.startsWith(base) &&
          JSON.stringify(told) === JSON.stringify(expected) &&
          JSON.stringify(absolute) === JSON.stringify(expected)
        )
      })
    )
  }
})

t.test('an id that some servers resolve to another path is refused', async (t) => {
  const paths = new DavPaths(new URL('https://h.example/dav/'))
  for (const id of [
    '',
    '/',
    '//',
    'a//b',
    '/a',
    '.',
    '..',
    '../',
    'a/../b',
    '..\\b',
    'a\\..\\b',
    'a\0',
    '\ud800',
    'x'.repeat(4097)
  ]) {
    t.throws(() => paths.urlOf(id), { code: 'INVALID_REQUEST' }, JSON.stringify(id.slice(0, 20)))
  }
  t.equal(paths.urlOf('a\\b').href, 'https://h.example/dav/a%5Cb')
  t.throws(() => paths.folderUrlOf('a'), { code: 'FOLDER_NOT_FOUND' })
  t.throws(() => paths.childId(null, 'a/b'), { code: 'INVALID_REQUEST' })
  t.throws(() => paths.childId('a', 'b'), { code: 'FOLDER_NOT_FOUND' })
})

t.test('an href is used only for its path, and only inside of the base URL', async (t) => {
  const paths = new DavPaths(new URL('https://h.example/dav/'))
  const cases: [string, string[] | null][] = [
    ['/dav/', []],
    ['/dav', []],
    ['/dav/a', ['a']],
    ['/d%61v/%61/', ['a']],
    ['/dav/a#b?c', ['a#b?c']],
    ['/dav/%25%2541', ['%%41']],
    ['http://h.example:8080/dav/a', ['a']],
    ['HTTPS://H.EXAMPLE/dav/a', ['a']],
    ['//h.example/dav/a', ['a']],
    ['https://h.example.evil/dav/a', null],
    ['https://evil.example/dav/a', null],
    ['https://h.example@evil.example/dav/a', null],
    ['//evil.example/dav/a', null],
    ['file:///dav/a', null],
    ['/dav2/x', null],
    ['/Dav/x', null],
    ['/x', null],
    ['/', null],
    ['', null],
    ['a', null],
    ['dav/a', null],
    ['/dav/../x', null],
    ['/dav/%2e%2e/x', null],
    ['/dav/.%2E', null],
    ['/dav/a%2fb', null],
    ['/dav/a%2Fb', null],
    ['/dav//a', null],
    ['/dav/a//', null],
    ['/dav/%ff', null],
    ['/dav/\ufffd', null],
    ['/dav/100%', null],
    ['/dav/a%00', null]
  ]
  for (const [href, segments] of cases) t.same(paths.segmentsOf(href), segments, href)
  t.same(new DavPaths(new URL('http://h/')).segmentsOf('/a/b/'), ['a', 'b'])
  t.same(new DavPaths(new URL('http://h/')).segmentsOf('/'), [])
  t.same(new DavPaths(new URL('http://[::1]:1/d/')).segmentsOf('http://[0:0::1]:2/d/a'), ['a'])
  t.same(new DavPaths(new URL('http://h/a%20b/')).segmentsOf('/a b/c'), ['c'])
})

t.test('an ETag is parsed with and without quotes, and without invalid characters', async (t) => {
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

t.test('only dates of RFC 3339 and of HTTP are parsed', async (t) => {
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

t.test('a count is a non-negative integer', async (t) => {
  t.equal(readCount('0'), 0)
  t.equal(readCount('123456789012345'), 123456789012345)
  for (const text of ['-1', '', '1.5', '1e3', '0x1', ' 1', '1234567890123456', undefined, {}])
    t.equal(readCount(text), null)
})

t.test('a media type is valid in a header', async (t) => {
  t.equal(readMediaType('text/plain; charset="utf-8"'), 'text/plain; charset="utf-8"')
  for (const text of ['', 'text', 'a/b\r\nX: y', `a/${'b'.repeat(200)}`, {}, undefined])
    t.equal(readMediaType(text), null)
})

t.test('a folder has neither size nor type', async (t) => {
  const properties = { resourcetype: { collection: '' }, getcontentlength: '5', getcontenttype: 'a/b' }
  t.match(readMetadata({ href: '/', status: 200, properties }), { isCollection: true, size: null, mimeType: null })
  t.match(readMetadata({ href: '/', status: 200, properties: { ...properties, resourcetype: '' } }), {
    size: 5,
    mimeType: 'a/b'
  })
})

t.test('a base URL has one form, however it is entered', async (t) => {
  for (const [typed, base] of [
    ['https://h.example', 'https://h.example/'],
    ['HTTPS://H.EXAMPLE:443/dav', 'https://h.example/dav/'],
    ['https://h.example/%7Eann/a b/', 'https://h.example/~ann/a%20b/'],
    ['https://h.example/~ann/a%20b', 'https://h.example/~ann/a%20b/'],
    ['http://[::1]:8080/x/../d/', 'http://[::1]:8080/d/']
  ] as const) {
    t.equal(readBaseUrl(typed)?.href, base, typed)
  }
  const refused = [
    '',
    'h.example',
    'ftp://h/',
    'file:///etc',
    'https://u@h/',
    'https://u:p@h/',
    'https://h/?',
    'https://h/#'
  ]
  const paths = ['https://h/a?b', 'https://h/a#b', 'https://h//a', 'https://h/%2f', 'https://h/%ff', 'https://h/a%00']
  for (const typed of [...refused, ...paths, `https://h/${'x'.repeat(1024)}`, 5, null, undefined]) {
    t.equal(readBaseUrl(typed), null, String(typed).slice(0, 30))
  }
})

t.test('the address of a Nextcloud is derived from the URL of any of its pages', async (t) => {
  for (const [typed, base] of [
    ['https://h', 'https://h/'],
    ['https://h/index.php', 'https://h/'],
    ['https://h/index.php/apps/files/?dir=/a&fileid=5', 'https://h/'],
    ['https://h/apps/files/files/12?dir=/#x', 'https://h/'],
    ['https://h/cloud/index.php/login?redirect_url=x', 'https://h/cloud/'],
    ['https://h/cloud/remote.php/dav/files/ann/', 'https://h/cloud/'],
    ['https://h/nextcloud', 'https://h/nextcloud/'],
    ['https://h/apps', 'https://h/apps/']
  ] as const) {
    t.equal(readServerUrl(typed).href, base, typed)
  }
  for (const typed of ['https://h/?a=b', 'https://u:p@h/index.php', 'h', 5])
    t.throws(() => readServerUrl(typed), String(typed))
})

t.test('an invalid field is named in the error, and its value is not repeated', async (t) => {
  const good = { baseUrl: 'https://h/', username: 'ann', password: 'SECRET' }
  const cases: [typeof webdav, Record<string, unknown>, string][] = [webdav, nextcloud].flatMap((provider) => [
    [provider, { ...good, baseUrl: 'https://h/?SECRET' }, 'baseUrl'],
    [provider, { ...good, username: 'SECRET:x' }, 'username'],
    [provider, { ...good, username: 'SECRET\n' }, 'username'],
    [provider, { ...good, username: '' }, 'username'],
    [provider, { ...good, password: 'SECRET\r\n' }, 'password'],
    [provider, { ...good, password: 'SECRET\ud800' }, 'password'],
    [provider, { ...good, password: '' }, 'password'],
    [provider, { baseUrl: good.baseUrl, username: 'ann' }, 'password']
  ])
  cases.push(
    [webdav, { baseUrl: good.baseUrl, token: 'SECRET token' }, 'token'],
    [webdav, { ...good, token: 'SECRET' }, 'token']
  )
  for (const [{ connect }, fields, field] of cases) {
    try {
      connect.parse(fields)
      t.fail(`${field} was accepted`)
    } catch (error) {
      t.match(error, { code: 'INVALID_CREDENTIALS', message: field })
      t.notMatch(String(error), 'SECRET')
    }
  }
})

t.test('the account id identifies exactly one account', async (t) => {
  const idOf = (fields: Record<string, unknown>) => webdav.connect.parse({ password: 'p', ...fields }).accountId
  t.equal(idOf({ baseUrl: 'https://H/%7Ea', username: 'ann' }), idOf({ baseUrl: 'https://h:443/~a/', username: 'ann' }))
  const ids = [
    idOf({ baseUrl: 'https://h/a', username: 'ann' }),
    idOf({ baseUrl: 'https://h/a', username: 'bob' }),
    idOf({ baseUrl: 'https://h/b', username: 'ann' }),
    idOf({ baseUrl: 'http://h/a', username: 'ann' }),
    idOf({ baseUrl: 'https://h:8443/a', username: 'ann' }),
    idOf({ baseUrl: 'https://h/a', username: '#ann' }),
    webdav.connect.parse({ baseUrl: 'https://h/a', token: 't' }).accountId
  ]
  t.equal(new Set(ids).size, ids.length)
  for (const id of ids) t.notMatch(id, /:p|password/)
})

t.test('stored settings are validated strictly, and sealed settings can be opened', async (t) => {
  const egress = openEgress({ allowHosts: ['h'] })
  t.teardown(() => egress.close())
  for (const provider of [webdav, nextcloud]) {
    const open = (stored: unknown) =>
      provider.open({ credentials: new Secret(stored), egress, timeouts: TEST_TIMEOUTS })
    const { credentials } = provider.connect.parse({ baseUrl: 'http://h/', username: 'ann', password: 'p' })
    const sealed = JSON.parse(JSON.stringify(credentials.reveal())) as Record<string, unknown>
    t.equal((await open(sealed)).provider, provider.id)
    for (const stored of [null, {}, 'x', { ...sealed, baseUrl: 'x' }, { ...sealed, password: 5 }]) {
      await t.rejects(open(stored), { code: 'CREDENTIALS_UNREADABLE' })
    }
    await t.rejects(open({ ...sealed, baseUrl: 'http://169.254.169.254/' }), { code: 'ENDPOINT_FORBIDDEN' })
  }
})
