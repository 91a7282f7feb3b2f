import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import t, { type Test } from 'tap'
import { testApp } from '../support/app/app.ts'
import { truncates, faultScript } from '../fakes/faults.ts'
import { FAKE_DAV_PASSWORD, FAKE_DAV_USER } from '../fakes/dav/auth.ts'
import { FakeDav } from '../fakes/dav/fake-dav.ts'

const MIB = 1024 * 1024
/** Much more than the buffers between two sockets hold. */
const CONTENT = Buffer.alloc(64 * MIB, 'content ')

/** A host's own route for its users' documents, with one document on a WebDAV server. */
async function start(t: Test) {
  const fake = await FakeDav.start(t)
  fake.tree.put('large.bin', CONTENT)
  const { app, as } = await testApp(t, { providers: { webdav: { allowHosts: [new URL(fake.url).host] } } })
  const document = { id: 'd', userId: 'ann', storageBackend: 'webdav', objectKey: 'large.bin' }
  const preHandler = app.storageBackendHook({ document: () => document })
  app.get('/download/:framing', { preHandler }, async (request, reply) => {
    const { signal } = new AbortController()
    const { body, size } = await request.storageBackend.download(document.objectKey, { signal })
    if ((request.params as { framing: string }).framing === 'length') reply.header('content-length', size)
    return reply.send(body)
  })
  const fields = { baseUrl: fake.url, username: FAKE_DAV_USER, password: FAKE_DAV_PASSWORD }
  const made = await as('ann').send('POST', '/cloud/connections/webdav', fields)
  t.equal(made.statusCode, 201)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  return {
    fake,
    /** Resolves at the start of the response. */
    download: async (framing: 'length' | 'chunked'): Promise<IncomingMessage> => {
      const path = `/download/${framing}`
      const asked = httpRequest({ host: '127.0.0.1', port, path, headers: { 'x-user': 'ann' }, agent: false }).end()
      const [answer] = (await once(asked, 'response')) as [IncomingMessage]
      return answer
    }
  }
}

t.test('a client that disconnects in the middle closes the upstream socket', async (t) => {
  const { fake, download } = await start(t)
  const upstream: (Socket | null)[] = []
  fake.earlyScript = ({ method }, response) => {
    if (method === 'GET') upstream.push(response.socket)
    return false
  }
  const answer = await download('length')
  await once(answer, 'readable')
  t.equal(upstream.length, 1)
  t.equal(upstream[0]?.closed, false, 'the upstream stays open until then')
  // Not `once`, which would reject on the reset.
  const closed = new Promise((resolve) => upstream[0]?.once('close', resolve))
  answer.destroy()
  await closed
  t.equal(fake.busy(), 0)
})

for (const framing of ['length', 'chunked'] as const) {
  for (const end of ['reset', 'close'] as const) {
    t.test(`an upstream with framing "${framing}" that ends by ${end} never ends the response cleanly`, async (t) => {
      const { fake, download } = await start(t)
      const cut = { content: CONTENT, afterBytes: 3 * MIB, framing, end, headers: { etag: '"1"' } }
      fake.script = faultScript(truncates(cut), { matching: ({ method }) => method === 'GET' })
      for (const ours of ['length', 'chunked'] as const) {
        const answer = await download(ours)
        t.equal(answer.statusCode, 200)
        let received = 0
        const failure: unknown = await (async () => {
          for await (const chunk of answer as AsyncIterable<Buffer>) received += chunk.length
          return 'a clean end'
        })().catch((error: unknown) => error)
        t.match(failure, { code: 'ECONNRESET' }, `sent with ${ours}`)
        t.equal(answer.complete, false)
        t.ok(received <= 3 * MIB)
      }
    })
  }
}
