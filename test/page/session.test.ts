import t from 'tap'
import { readToken, Session } from '../../src/page/session.ts'

function browser(hash = '', kept?: string) {
  const items = new Map<string, string>(kept === undefined ? [] : [['token', kept]])
  const location = { hash, pathname: '/', search: '?a=b' }
  const ports = {
    storage: {
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, value: string) => void items.set(key, value),
      removeItem: (key: string) => void items.delete(key)
    },
    location,
    history: {
      replaceState: (_state: null, _unused: string, url: string) => {
        location.hash = url.includes('#') ? url.slice(url.indexOf('#')) : ''
      }
    }
  }
  return { items, location, ports }
}

const tokenOf = (claims: object) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`

t.test('a token is taken out of the address at once, and kept', async (t) => {
  const { items, location, ports } = browser('#token=abc.def.ghi', 'older')
  const session = new Session(ports)
  t.equal(session.token, 'abc.def.ghi')
  t.equal(location.hash, '')
  t.same([...items], [['token', 'abc.def.ghi']])
  t.same(session.headers, { authorization: 'Bearer abc.def.ghi' })
})

t.test('without one, what the tab has kept counts, and other fragments are left alone', async (t) => {
  for (const hash of ['', '#documents', '#token']) {
    const { location, ports } = browser(hash, 'kept')
    t.equal(new Session(ports).token, 'kept', hash)
    t.equal(location.hash, hash === '#token' ? '' : hash)
  }
  const session = new Session(browser().ports)
  t.same([session.token, session.headers, session.signedOut], [null, {}, 'never'])
})

t.test('who signs out leaves nothing behind', async (t) => {
  const { items, ports } = browser('', 'kept')
  const session = new Session(ports)
  session.signOut('expired')
  t.same([session.token, session.user, session.signedOut, items.size], [null, null, 'expired', 0])
})

t.test('the name of the user is read of the token, and what is no token has none', async (t) => {
  for (const [token, user] of [
    [tokenOf({ sub: 'Zoë ✓' }), 'Zoë ✓'],
    [tokenOf({ sub: 5 }), null],
    [tokenOf({}), null],
    ['nonsense', null],
    ['a.%%%.c', null]
  ] as const) {
    t.equal(new Session(browser('', token).ports).user, user, token)
  }
})

t.test('a token may be pasted as a header or a terminal has it', async (t) => {
  for (const pasted of ['a.b.c', ' a.b.c\n', 'Bearer a.b.c', 'bearer  a.b\n.c']) t.equal(readToken(pasted), 'a.b.c')
  t.equal(readToken(' \n'), '')
})
