import { connect } from 'node:net'
import t from 'tap'
import { request } from 'undici'
import {
  sendRequest,
  basicAuth,
  hrefsIn,
  propfind,
  takeMistakes,
  type RequestOptions
} from '../../support/dav/requests.ts'
import { truncates, faultScript, gzipBomb, resets } from '../faults.ts'
import { digestResponse } from '../../support/dav/digest-response.ts'
import { FAKE_DAV_PASSWORD, FAKE_DAV_USER } from './auth.ts'
import { FakeDav } from './fake-dav.ts'
import {
  FAKE_APP_PASSWORD,
  FAKE_NEXTCLOUD_LOGIN,
  FAKE_NEXTCLOUD_UID,
  FakeNextcloud
} from '../nextcloud/fake-nextcloud.ts'
import { FaultProxy } from '../../support/process/fault-proxy.ts'
import { until } from '../../support/time/until.ts'

const VALID_AUTH = basicAuth(FAKE_DAV_USER, FAKE_DAV_PASSWORD)
const NEXTCLOUD_AUTH = basicAuth(FAKE_NEXTCLOUD_LOGIN, FAKE_APP_PASSWORD)

t.test('the response to a digest challenge follows RFC 7616', async (t) => {
  const example = {
    username: 'Mufasa',
    password: 'Circle of Life',
    realm: 'http-auth@example.org',
    nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v',
    nc: '00000001',
    cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
    uri: '/dir/index.html',
    method: 'GET'
  }
  t.equal(digestResponse({ ...example, algorithm: 'MD5' }), '8ca523f5e9506fed4657c9700eebdbec')
  t.equal(
    digestResponse({ ...example, algorithm: 'SHA-256' }),
    '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'
  )
})

t.test('the fake verifies a digest and its previous use', async (t) => {
  for (const algorithm of ['MD5', 'SHA-256', 'SHA-256-sess'] as const) {
    const fake = await FakeDav.start(t, { auth: { type: 'digest', algorithms: [algorithm], nonceUses: 2 } })
    fake.tree.put('a.txt', 'content')
    const challenge = async () => String((await sendRequest(`${fake.url}a.txt`)).headers['www-authenticate'])
    const field = (text: string, name: string) => new RegExp(`${name}="([^"]*)"`).exec(text)?.[1] ?? ''
    const first = await challenge()
    const get = async (nc: number, { said = first, password = FAKE_DAV_PASSWORD, uri = '/dav/a.txt' } = {}) => {
      const facts = {
        username: FAKE_DAV_USER,
        realm: field(said, 'realm'),
        nonce: field(said, 'nonce'),
        uri,
        cnonce: 'c0ffee00c0ffee00'
      }
      const count = nc.toString(16).padStart(8, '0')
      const response = digestResponse({ ...facts, algorithm, password, nc: count, method: 'GET' })
      const quoted = Object.entries({ ...facts, response, opaque: field(said, 'opaque') })
      const fields = [...quoted.map(([name, value]) => `${name}="${value}"`), `algorithm=${algorithm}`, 'qop=auth']
      return sendRequest(`${fake.url}a.txt`, { headers: { authorization: `Digest ${fields.join(', ')}, nc=${count}` } })
    }
    t.equal((await get(1, { password: 'wrong' })).status, 401)
    t.equal((await get(1)).text, 'content', algorithm)
    t.same(takeMistakes(fake), [])
    t.equal((await get(1)).status, 401)
    t.equal((await get(2, { uri: '/dav/other' })).status, 401)
    t.same(takeMistakes(fake), ['the nc 00000001 once more', 'the uri /dav/other for /dav/a.txt'])
    t.equal((await get(2)).status, 200)
    const stale = await get(3)
    t.equal(stale.status, 401)
    t.match(stale.headers['www-authenticate'], /stale=true/)
    t.equal((await get(1, { said: String(stale.headers['www-authenticate']) })).status, 200)
  }
})

t.test('the fake refuses a wrong password without recording a mistake', async (t) => {
  const fake = await FakeDav.start(t)
  t.equal((await sendRequest(fake.url, propfind(basicAuth(FAKE_DAV_USER, 'wrong')))).status, 401)
  t.equal((await sendRequest(fake.url, propfind(VALID_AUTH))).status, 207)
  const bearer = await FakeDav.start(t, { auth: { type: 'bearer' } })
  t.equal((await sendRequest(bearer.url, propfind(VALID_AUTH))).status, 401)
  t.same(takeMistakes(bearer), ['credentials that are not Bearer'])
})

t.test('the fake records invalid requests', async (t) => {
  const fake = await FakeDav.start(t)
  fake.tree.mkdir('folder')
  const mistakes: [number, string, string, RequestOptions][] = [
    [400, 'a query', '?a=b', propfind(VALID_AUTH)],
    [400, 'the header x-other', '', propfind(VALID_AUTH, { 'x-other': '1' })],
    [403, 'the depth infinity', '', propfind(VALID_AUTH, { depth: 'infinity' })],
    [403, 'the depth undefined', '', { method: 'PROPFIND', headers: VALID_AUTH }],
    [415, 'the content type text/plain', '', propfind(VALID_AUTH, { 'content-type': 'text/plain' })],
    [400, 'a body that is not well-formed', '', { ...propfind(VALID_AUTH), body: '<a><b></a>' }],
    [400, 'a in no namespace', '', { ...propfind(VALID_AUTH), body: '<a/>' }],
    [400, 'a collection without a slash', 'folder', propfind(VALID_AUTH)],
    [400, 'a collection without a slash', 'new', { method: 'MKCOL', headers: VALID_AUTH }],
    [400, 'a path with a forbidden segment', 'a%2fb', { headers: VALID_AUTH }],
    [404, 'a path outside of /dav/', '../elsewhere', { headers: VALID_AUTH }],
    [405, 'an unknown method', '', { method: 'PATCH', headers: VALID_AUTH }],
    [412, 'a weak entity tag', 'a', { method: 'PUT', headers: { ...VALID_AUTH, 'if-match': 'W/"a"' }, body: '' }]
  ]
  for (const [status, what, path, asked] of mistakes) {
    t.equal((await sendRequest(fake.url + path, asked)).status, status, what)
    t.same(takeMistakes(fake), [what])
  }
})

t.test('the fake follows the rules of WebDAV', async (t) => {
  const fake = await FakeDav.start(t, { notFoundFirst: true, prefix: 'mixed' })
  const put = (path: string, headers: Readonly<Record<string, string>> = {}) =>
    sendRequest(fake.url + path, { method: 'PUT', headers: { ...VALID_AUTH, ...headers }, body: '0123456789' })
  const created = await put('a%23%20b', { 'if-none-match': '*' })
  t.equal(created.status, 201)
  t.equal((await put('a%23%20b', { 'if-none-match': '*' })).status, 412)
  t.equal((await put('a%23%20b', { 'if-match': '"other"' })).status, 412)
  t.equal((await put('a%23%20b', { 'if-match': String(created.headers['etag']) })).status, 204)
  t.equal((await put('no/such')).status, 409)
  const get = (range: string) => sendRequest(`${fake.url}a%23%20b`, { headers: { ...VALID_AUTH, range } })
  t.match(await get('bytes=-3'), { status: 206, text: '789', headers: { 'content-range': 'bytes 7-9/10' } })
  t.match(await get('bytes=10-'), { status: 416, headers: { 'content-range': 'bytes */10' } })
  t.equal((await sendRequest(`${fake.url}folder/`, { method: 'MKCOL', headers: VALID_AUTH })).status, 201)
  t.equal((await sendRequest(`${fake.url}folder/`, { method: 'MKCOL', headers: VALID_AUTH })).status, 405)
  t.equal((await put('folder/')).status, 405)
  const redirect = await sendRequest(`${fake.url}folder`, propfind(VALID_AUTH, { depth: '0' }))
  t.match(redirect, { status: 301, headers: { location: `${fake.url}folder/` } })
  const { text } = await sendRequest(fake.url, propfind(VALID_AUTH))
  t.same(hrefsIn(text), ['/dav/', '/dav/a%23%20b', '/dav/folder/'])
  t.match(text, /404 Not Found.*<lp1:getetag>.*200 OK.*<lp1:resourcetype>.*200 OK/s)
  t.same(fake.tree.list(), ['a# b', 'folder/'])
})

t.test('an interrupted PUT leaves the received content, unless the file was removed meanwhile', async (t) => {
  for (const [keepsCut, isRemoved, content] of [
    [true, false, 'new'],
    [true, true, undefined],
    [false, false, 'old']
  ] as const) {
    const fake = await FakeDav.start(t, { keepsPartialUpload: () => keepsCut })
    fake.tree.put('a.txt', 'old')
    const { hostname, port } = new URL(fake.origin)
    const socket = connect(Number(port), hostname)
    const head = `PUT /dav/a.txt HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: ${VALID_AUTH.authorization}\r\n`
    socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n3\r\nnew\r\n`)
    await until(() => fake.busy() === 1 && fake.tree.read('a.txt').toString() === (keepsCut ? '' : 'old'))
    if (isRemoved) fake.tree.delete('a.txt')
    socket.destroy()
    await until(() => fake.busy() === 0)
    t.equal(fake.tree.has('a.txt') ? fake.tree.read('a.txt').toString() : undefined, content)
  }
})

t.test('a MOVE behaves like real servers, including their quirks', async (t) => {
  const fake = await FakeDav.start(t)
  const move = async (from: string, to: string, headers: Record<string, string>) =>
    (
      await sendRequest(fake.url + from, {
        method: 'MOVE',
        headers: { ...VALID_AUTH, destination: fake.url + to, ...headers }
      })
    ).status
  const etagOf = async (path: string) =>
    String((await sendRequest(fake.url + path, { headers: VALID_AUTH })).headers['etag'])
  const seed = () => {
    fake.tree.put('a', 'a')
    fake.tree.put('b', 'b')
  }
  seed()
  t.equal(await move('a', 'b', { overwrite: 'F' }), 412)
  t.equal(await move('a', 'b', { overwrite: 'T', if: `<${fake.url}b> (["other"])` }), 412)
  t.equal(await move('a', 'b', { overwrite: 'T', if: `<${fake.url}b> ([${await etagOf('b')}])` }), 204)
  t.same([fake.tree.list(), fake.tree.read('b').toString()], [['b'], 'a'])
  t.equal(await move('b', 'c', { overwrite: 'F' }), 201)
  seed()
  t.equal(await move('none', 'b', { overwrite: 'T' }), 404)
  t.notOk(fake.tree.has('b'), 'sabre 1.8 removes the destination first')
  fake.tree.put('folder/kept', 'x')
  t.equal(await move('a', 'folder', { overwrite: 'T' }), 204)
  t.same(fake.tree.list(), ['c', 'folder'], 'a folder is replaced with its content')
  t.equal(await move('c', 'no/such', { overwrite: 'F' }), 409)
  t.same(takeMistakes(fake), [])
  t.equal(await move('c', 'd', {}), 400)
  t.equal(await move('c', 'd', { overwrite: 'T', destination: '/dav/d' }), 400)
  t.same(takeMistakes(fake), ['the overwrite undefined', 'the destination /dav/d'])
})

t.test('a chunked upload becomes one file once it is finished', async (t) => {
  const fake = await FakeNextcloud.start(t)
  fake.tree.put('a', 'old')
  const uploads = `${fake.url}/remote.php/dav/uploads/${FAKE_NEXTCLOUD_UID}/one`
  const destination = `${fake.dav.url}a`
  const send = async (method: string, path: string, headers: Record<string, string> = {}, body?: string) => {
    const sent = {
      method,
      headers: { ...NEXTCLOUD_AUTH, destination, ...headers },
      ...(body !== undefined && { body })
    }
    return (await sendRequest(`${uploads}/${path}`, sent)).status
  }
  t.equal(await send('PUT', '1', {}, 'x'), 404)
  t.equal(await send('MKCOL', ''), 201)
  t.equal(await send('PUT', '00002', {}, 'b'), 201)
  t.equal(await send('PUT', '00001', {}, 'a'.repeat(5_000_000)), 201)
  const total = { 'oc-total-length': '5000001' }
  t.equal(await send('MOVE', '.file', { ...total, overwrite: 'F' }), 412)
  t.equal(await send('MOVE', '.file', { ...total, overwrite: 'T', if: `<${destination}> (["x"])` }), 412)
  t.equal(fake.tree.read('a').toString(), 'old')
  t.equal(await send('MOVE', '.file', { ...total, overwrite: 'T' }), 204)
  t.equal(fake.tree.read('a').length, 5_000_001)
  t.equal(fake.uploads.open.size, 0)
  t.same(takeMistakes(fake), [])
  await send('MKCOL', '')
  t.equal(await send('PUT', 'x', {}, 'a'), 400)
  await send('PUT', '1', {}, 'a')
  await send('PUT', '2', {}, 'b')
  t.equal(await send('MOVE', '.file', { 'oc-total-length': '2', overwrite: 'T' }), 400)
  t.same(takeMistakes(fake), ['the chunk x', 'a small chunk'])
  t.equal((await sendRequest(`${uploads}/`, { method: 'DELETE', headers: NEXTCLOUD_AUTH })).status, 204)
  t.equal(fake.uploads.open.size, 0)
})

t.test('a scripted fault applies to the configured number of matching requests', async (t) => {
  const fake = await FakeDav.start(t, { auth: { type: 'none' } })
  fake.tree.put('a.txt', 'content')
  const isA = ({ path }: { path: string }) => path.endsWith('a.txt')
  fake.script = faultScript(resets(), { times: 1, matching: isA })
  t.equal((await sendRequest(fake.url, propfind({}))).status, 207)
  await t.rejects(sendRequest(`${fake.url}a.txt`), { code: 'ECONNRESET' })
  t.equal((await sendRequest(`${fake.url}a.txt`)).text, 'content')
  for (const [framing, end] of [
    ['length', 'reset'],
    ['length', 'close'],
    ['chunked', 'close']
  ] as const) {
    fake.script = faultScript(truncates({ content: 'x'.repeat(100), afterBytes: 10, framing, end }), { times: 1 })
    await t.rejects(sendRequest(`${fake.url}a.txt`), `${framing} ${end}`)
  }
  fake.script = faultScript(await gzipBomb())
  const bomb = await request(fake.url)
  t.equal(bomb.headers['content-encoding'], 'gzip')
  const { byteLength } = await bomb.body.arrayBuffer()
  t.ok(byteLength < 400_000)
  await until(() => fake.busy() === 0)
})

t.test('the proxy cuts off the response of a real server', async (t) => {
  const fake = await FakeDav.start(t, { auth: { type: 'none' } })
  fake.tree.put('a.txt', 'content')
  const proxy = await FaultProxy.start(t, fake.url)
  fake.hosts.add(new URL(proxy.origin).host)
  fake.script = ({ headers }, response) => {
    response.setHeader('x-host', headers['host'] ?? '')
    response.end('content')
    return true
  }
  proxy.rules = [
    { times: 1, resetAfterBytes: 3 },
    { times: 1, truncateAfterBytes: 3 },
    { times: 1, response: { status: 503, headers: { 'retry-after': '1' } } }
  ]
  await t.rejects(sendRequest(`${proxy.url}a.txt`))
  await t.rejects(sendRequest(`${proxy.url}a.txt`))
  t.match(await sendRequest(`${proxy.url}a.txt`), { status: 503, headers: { 'retry-after': '1' } })
  const passed = await sendRequest(`${proxy.url}a.txt`)
  t.match(passed, { status: 200, text: 'content', headers: { 'x-host': new URL(proxy.origin).host } })
  t.equal(proxy.log.length, 4)
})

t.test('a login flow issues a password once, which works until it is revoked', async (t) => {
  const fake = await FakeNextcloud.start(t, { mountPath: '/nextcloud' })
  const started = await sendRequest(`${fake.url}/index.php/login/v2`, {
    method: 'POST',
    headers: { 'user-agent': 'App' }
  })
  const { poll, login } = JSON.parse(started.text) as { poll: { token: string; endpoint: string }; login: string }
  const again = () =>
    sendRequest(poll.endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: `token=${poll.token}`
    })
  t.match(await again(), { status: 404, text: '[]' })
  const [flow] = fake.flows.flows
  t.match(flow, { login, userAgent: 'App' })
  const appPassword = fake.grant(flow!)
  const granted = await again()
  t.same(JSON.parse(granted.text), { server: fake.url, loginName: FAKE_NEXTCLOUD_LOGIN, appPassword })
  t.equal((await again()).status, 404)

  const auth = { ...basicAuth(FAKE_NEXTCLOUD_LOGIN, appPassword), 'ocs-apirequest': 'true' }
  const user = () => sendRequest(`${fake.url}/ocs/v2.php/cloud/user?format=json`, { headers: auth })
  t.match(JSON.parse((await user()).text), { ocs: { data: { id: FAKE_NEXTCLOUD_UID } } })
  await sendRequest(`${fake.url}/ocs/v2.php/core/apppassword`, { method: 'DELETE', headers: auth })
  t.equal((await user()).status, 401)
})

t.test('the fake enforces the OCS headers, and has a maintenance mode', async (t) => {
  const fake = await FakeNextcloud.start(t)
  const user = `${fake.url}/ocs/v2.php/cloud/user?format=json`
  t.equal((await sendRequest(user, { headers: NEXTCLOUD_AUTH })).status, 412)
  t.equal((await sendRequest(user.replace('v2', 'v1'), { headers: NEXTCLOUD_AUTH })).status, 404)
  t.same(takeMistakes(fake), ['OCS without OCS-APIRequest: true', 'a route that there is not'])
  fake.maintenance = true
  const answer = await sendRequest(fake.dav.url, propfind(NEXTCLOUD_AUTH))
  t.match(answer, { status: 503, headers: { 'x-nextcloud-maintenance-mode': '1', 'retry-after': '120' } })
})
