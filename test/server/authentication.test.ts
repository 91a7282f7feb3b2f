import { createHmac, createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import t, { type Test } from 'tap'
import { Secret } from '../../src/index.ts'
import type { JwtConfig } from '../../server/config-secrets.ts'
import { JWT, serverApp } from '../support/app/server-app.ts'

const NOW = Math.floor(Date.now() / 1000)
const CLAIMS = { sub: 'ann', iss: JWT.issuer, aud: JWT.audience, exp: NOW + 600 }
const SECRET = JWT.key.reveal()

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const hmac = (input: string, key: string | Buffer, hash = 'sha256') =>
  createHmac(hash, key).update(input).digest('base64url')

function token(claims: object, header: object = { alg: 'HS256', typ: 'JWT' }, key: string | Buffer = SECRET): string {
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${hmac(input, key)}`
}

function signed(claims: object, alg: string, key: KeyObject): string {
  const input = `${encode({ alg, typ: 'JWT' })}.${encode(claims)}`
  const digest = alg === 'EdDSA' ? null : 'sha256'
  return `${input}.${sign(digest, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

async function server(t: Test, jwt: JwtConfig = JWT) {
  const { app } = await serverApp(t, { config: { jwt } })
  return (authorization?: string) =>
    app.inject({ url: '/cloud/connections', headers: authorization === undefined ? {} : { authorization } })
}

t.test('a valid token identifies its user', async (t) => {
  const ask = await server(t)
  for (const claims of [CLAIMS, { ...CLAIMS, aud: ['others', JWT.audience] }, { ...CLAIMS, nbf: NOW - 5, iat: NOW }]) {
    const answer = await ask(`Bearer ${token(claims)}`)
    t.equal(answer.statusCode, 200, JSON.stringify(claims))
  }
})

t.test('a request without a token receives the scheme', async (t) => {
  const ask = await server(t)
  const answer = await ask()
  t.equal(answer.statusCode, 401)
  t.equal(answer.headers['www-authenticate'], 'Bearer')
  t.match(answer.headers['content-type'], 'application/problem+json')
  t.match(answer.json(), { code: 'UNAUTHENTICATED' })
})

t.test('an invalid token is refused without a reason', async (t) => {
  const ask = await server(t)
  const { exp: _exp, ...endless } = CLAIMS
  const { iss: _iss, ...fromNobody } = CLAIMS
  const { aud: _aud, ...forNobody } = CLAIMS
  const { sub: _sub, ...ofNobody } = CLAIMS
  const good = token(CLAIMS)
  const unsigned = `${encode({ alg: 'none' })}.${encode(CLAIMS)}.`
  const longer = `${encode({ alg: 'HS512' })}.${encode(CLAIMS)}`
  const bad: Record<string, string> = {
    expired: token({ ...CLAIMS, exp: NOW - 1 }),
    'without an end': token(endless),
    'not yet valid': token({ ...CLAIMS, nbf: NOW + 600 }),
    'another issuer': token({ ...CLAIMS, iss: 'https://other.example' }),
    'no issuer': token(fromNobody),
    'a list of issuers': token({ ...CLAIMS, iss: [JWT.issuer] }),
    'another audience': token({ ...CLAIMS, aud: 'other' }),
    'no audience': token(forNobody),
    'no subject': token(ofNobody),
    'an empty subject': token({ ...CLAIMS, sub: '' }),
    'a subject that is a number': token({ ...CLAIMS, sub: 7 }),
    'a subject that is an object': token({ ...CLAIMS, sub: { id: 'ann' } }),
    'a subject with a NUL': token({ ...CLAIMS, sub: 'ann\0' }),
    'a subject with half a character': token({ ...CLAIMS, sub: 'ann\ud83d' }),
    'a subject of kilobytes': token({ ...CLAIMS, sub: 'a'.repeat(256) }),
    'another key': token(CLAIMS, { alg: 'HS256' }, 'another secret of the tests, also long'),
    'alg none': unsigned,
    'alg none, with a signature': `${unsigned}${good.split('.')[2] ?? ''}`,
    'no signature': `${good.split('.').slice(0, 2).join('.')}.`,
    'another algorithm with the same key': `${longer}.${hmac(longer, SECRET, 'sha512')}`,
    'changed claims': `${good.split('.')[0] ?? ''}.${encode({ ...CLAIMS, sub: 'bob' })}.${good.split('.')[2] ?? ''}`,
    'an unknown critical header': token(CLAIMS, { alg: 'HS256', crit: ['x'], x: 1 }),
    'no token at all': 'nonsense',
    'two words': `${good} ${good}`,
    nothing: ''
  }
  for (const [name, text] of Object.entries(bad)) {
    const answer = await ask(`Bearer ${text}`)
    t.equal(answer.statusCode, 401, name)
    t.equal(answer.headers['www-authenticate'], 'Bearer error="invalid_token"', name)
    t.same(
      { ...answer.json<object>(), requestId: '' },
      {
        type: 'urn:fastify-cloud-storage:error:UNAUTHENTICATED',
        title: 'Unauthenticated',
        status: 401,
        detail: 'Sign in first.',
        code: 'UNAUTHENTICATED',
        requestId: ''
      },
      name
    )
  }
  const basic = await ask(`Basic ${Buffer.from('ann:secret').toString('base64')}`)
  t.equal(basic.statusCode, 401)
})

t.test('tokens signed by a private key are verified by the public key, which is never used as a secret', async (t) => {
  const kinds = {
    RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    EdDSA: generateKeyPairSync('ed25519')
  }
  const foreign = {
    RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    EdDSA: generateKeyPairSync('ed25519')
  }
  for (const algorithm of ['RS256', 'ES256', 'EdDSA'] as const) {
    const { publicKey, privateKey } = kinds[algorithm]
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
    const ask = await server(t, { ...JWT, algorithm, key: new Secret(pem) })
    const good = await ask(`Bearer ${signed(CLAIMS, algorithm, privateKey)}`)
    t.equal(good.statusCode, 200, algorithm)
    const bad = [
      token(CLAIMS, { alg: 'HS256' }, pem),
      token(CLAIMS, { alg: 'HS256' }, pem.trim()),
      token(CLAIMS, { alg: 'HS256' }, publicKey.export({ type: 'spki', format: 'der' })),
      token(CLAIMS, { alg: algorithm }, pem),
      signed(
        CLAIMS,
        algorithm,
        createPrivateKey(foreign[algorithm].privateKey.export({ type: 'pkcs8', format: 'pem' }))
      ),
      signed({ ...CLAIMS, exp: NOW - 1 }, algorithm, privateKey)
    ]
    for (const text of bad) {
      const answer = await ask(`Bearer ${text}`)
      t.equal(answer.statusCode, 401, `${algorithm}: ${text.slice(0, 40)}`)
    }
  }
})

t.test('two users cannot see each other’s data', async (t) => {
  const { app, as } = await serverApp(t)
  const anns = await app.inject({ url: '/cloud/connections', headers: as('ann') })
  const bobs = await app.inject({ url: '/cloud/connections', headers: as('bob') })
  t.equal(anns.json<{ connections: unknown[] }>().connections.length, 1)
  t.equal(bobs.json<{ connections: unknown[] }>().connections.length, 0)
})
