import t from 'tap'
import { Secret } from '../../../src/domain/secret.ts'
import { readBaseUrl } from '../../../src/providers/dav/base-url.ts'
import { provider as nextcloud } from '../../../src/providers/nextcloud.ts'
import { readServerUrl } from '../../../src/providers/nextcloud/settings.ts'
import { provider as webdav } from '../../../src/providers/webdav.ts'
import { openEgress } from '../../support/egress.ts'
import { TEST_TIMEOUTS } from '../../support/timeouts.ts'

t.test('a base is one URL, in whatever notation it is typed', async (t) => {
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

t.test('the address of a Nextcloud is taken from whichever page was copied', async (t) => {
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

t.test('what cannot be used is refused by the name of its field, and not repeated', async (t) => {
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
      t.fail(`${field} was taken`)
    } catch (error) {
      t.match(error, { code: 'INVALID_CREDENTIALS', message: field })
      t.notMatch(String(error), 'SECRET')
    }
  }
})

t.test('an account has one id, and no other account has it', async (t) => {
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

t.test('stored settings are read as strictly, and what was sealed opens again', async (t) => {
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
