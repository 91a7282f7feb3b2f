import fc from 'fast-check'
import t from 'tap'
import { Secret } from '../../../src/core/secret.ts'
import {
  chooseAuthentication,
  createAuthorizer,
  DigestSession,
  isStale,
  isSupported,
  readChallenges
} from '../../../src/providers/dav/authorization.ts'
import { digestResponse } from '../../support/dav/digest-response.ts'

const DIGEST = 'Digest realm="r", nonce="n", qop="auth"'

t.test('several challenges in one header are parsed separately', async (t) => {
  const plain = (header: string) => readChallenges(header).map(({ scheme, parameters }) => [scheme, { ...parameters }])
  t.same(plain('Basic realm="a, b", charset="UTF-8", DIGEST Realm="q\\"x", qop="auth,auth-int", algorithm=MD5'), [
    ['basic', { realm: 'a, b', charset: 'UTF-8' }],
    ['digest', { realm: 'q"x', qop: 'auth,auth-int', algorithm: 'MD5' }]
  ])
  t.same(plain('Negotiate, NTLM TlRMTVNT+UAAC==, Basic realm=x'), [
    ['negotiate', {}],
    ['ntlm', {}],
    ['basic', { realm: 'x' }]
  ])
  t.same(plain(' , Bearer'), [['bearer', {}]])
  t.same(readChallenges(undefined), [])
  t.same(plain('Basic __proto__="x"'), [['basic', Object.fromEntries([['__proto__', 'x']])]])
})

t.test('any header is parsed completely', async () => {
  const piece = fc.constantFrom('Basic', 'Digest ', 'realm', '=', '"', '\\', ',', ' ', 'a', '==', '/', '\t', '\u00e9')
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece).map((pieces) => pieces.join(''))
      ),
      (header) => {
        chooseAuthentication(header, true)
        return Array.isArray(readChallenges(header))
      }
    )
  )
  for (const long of ['a="'.repeat(5000), 'Basic '.repeat(3000), '"\\'.repeat(8000), ', '.repeat(8000)])
    readChallenges(long)
})

t.test('a password is not sent to a server that requires another scheme', async (t) => {
  for (const [header, overHttps, overHttp] of [
    [undefined, 'basic', 'basic'],
    ['Basic realm="a"', 'basic', 'basic'],
    [`Basic realm="a", ${DIGEST}`, 'basic', 'digest'],
    [`${DIGEST}, Basic realm="a"`, 'basic', 'digest'],
    [DIGEST, 'digest', 'digest'],
    [`${DIGEST}, algorithm=SHA-999`, null, null],
    ['Digest realm="r", nonce="n", qop="auth-int"', null, null],
    ['Negotiate', null, null],
    ['Bearer realm="x"', null, null],
    ['"?', 'basic', 'basic']
  ] as const) {
    t.equal(chooseAuthentication(header, true), overHttps, `${header} over https`)
    t.equal(chooseAuthentication(header, false), overHttp, `${header} over http`)
  }
})

t.test('a digest follows RFC 7616', async (t) => {
  const parameters = {
    realm: 'http-auth@example.org',
    nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v',
    qop: 'auth, auth-int',
    opaque: 'FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS',
    userhash: 'true'
  }
  const mufasa = { username: 'Mufasa', password: 'Circle of Life' }
  const cnonce = 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ'
  for (const [algorithm, response] of [
    ['MD5', '8ca523f5e9506fed4657c9700eebdbec'],
    ['SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1']
  ] as const) {
    const session = new DigestSession({ scheme: 'digest', parameters: { ...parameters, algorithm } }, mufasa, cnonce)
    const header = session.authorize('GET', '/dir/index.html')
    t.match(header, `response="${response}"`)
    t.match(header, `uri="/dir/index.html", algorithm=${algorithm}, cnonce="${cnonce}", nc=00000001, qop=auth`)
    t.match(header, `opaque="${parameters.opaque}"`)
    t.match(session.authorize('GET', '/'), 'nc=00000002', 'the nonce count is incremented')
    const sess = new DigestSession(
      { scheme: 'digest', parameters: { ...parameters, algorithm: `${algorithm}-sess` } },
      mufasa,
      cnonce
    )
    const { realm, nonce } = parameters
    const facts = { ...mufasa, realm, nonce, cnonce, algorithm: `${algorithm}-sess`, nc: '00000001', method: 'PUT' }
    t.match(sess.authorize('PUT', '/a'), `response="${digestResponse({ ...facts, uri: '/a' })}"`)
  }
})

t.test('a digest without qop follows RFC 2069, and SHA-512-256 is supported', async (t) => {
  const old = new DigestSession(
    { scheme: 'digest', parameters: { realm: 'testrealm@host.com', nonce: 'dcd98b7102dd2f0e8b11d0f600bfb0c093' } },
    { username: 'Mufasa', password: 'CircleOfLife' }
  ).authorize('GET', '/dir/index.html')
  t.match(old, 'response="1949323746fe6a43ef61f9606e7febea"')
  t.notMatch(old, /cnonce|qop|nc=/)
  const [challenge] = readChallenges(`${DIGEST}, algorithm=SHA-512-256`)
  t.ok(challenge !== undefined && isSupported(challenge))
  const header = new DigestSession(challenge!, { username: 'J\u00e4s\u00f8n "D*e', password: 'x' }).authorize(
    'GET',
    '/'
  )
  t.match(header, /^Digest username\*=UTF-8''J%C3%A4s%C3%B8n%20%22D%2ae, .*response="[0-9a-f]{64}"/)
})

t.test('each refused request answers its own challenge, and the next request uses the accepted one', async (t) => {
  const authorizer = createAuthorizer({ type: 'digest', username: 'u', password: new Secret('p') })
  const request = { method: 'GET', uri: '/' }
  t.equal(authorizer.authorize(request), undefined)
  const attempts = ['n1', 'n2', 'n3'].map((nonce) => authorizer.respondTo(DIGEST.replace('"n"', `"${nonce}"`), request))
  for (const [index, attempt] of attempts.entries())
    t.match(attempt?.value, new RegExp(`nonce="n${index + 1}".*nc=00000001`))
  t.equal(authorizer.authorize(request), undefined, 'no challenge has been accepted yet')
  attempts[1]?.confirm()
  t.match(authorizer.authorize(request), /nonce="n2".*nc=00000002/)
  const both = authorizer.respondTo(`${DIGEST}, algorithm=MD5, Digest realm="r", nonce="s", algorithm=SHA-256`, request)
  t.match(both?.value, 'nonce="s", uri="/", algorithm=SHA-256', 'the stronger algorithm is chosen')
  for (const other of [undefined, 'Basic realm="x"', '']) t.equal(authorizer.respondTo(other, request), undefined)
  t.equal(isStale(`${DIGEST}, stale=TRUE`), true)
  t.equal(isStale(DIGEST), false)
})

t.test('Basic is encoded in UTF-8, and Bearer sends the token', async (t) => {
  const request = { method: 'GET', uri: '/' }
  const basic = createAuthorizer({ type: 'basic', username: 'ann\u00e9', password: new Secret('a:b') })
  t.equal(basic.authorize(request), `Basic ${Buffer.from('ann\u00e9:a:b').toString('base64')}`)
  t.equal(basic.respondTo(DIGEST, request), undefined, 'Basic does not answer a Digest challenge')
  t.equal(createAuthorizer({ type: 'bearer', token: new Secret('x') }).authorize(request), 'Bearer x')
})
