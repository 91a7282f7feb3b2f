import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { buildApp } from 'fauxqs'

export interface RunningFauxqs {
  readonly endpoint: string
}

/**
 * An in-memory S3 server in this process. It verifies no signatures and ignores conditional headers of writes. Two
 * bugs of 1.9.2 are fixed here, because no client could work with them:
 * - a page that ends with a common prefix returns an earlier key as its continuation, and lists the prefix again;
 * - `response-content-disposition` of a signed link is ignored.
 */
export async function startFauxqs(t: Test): Promise<RunningFauxqs> {
  const app = buildApp({ logger: false })
  app.addHook('onSend', async (request, reply, payload) => {
    const query = request.query as Readonly<Record<string, string | undefined>>
    const disposition = query['response-content-disposition']
    if (disposition !== undefined) reply.header('content-disposition', disposition)
    return query['list-type'] === '2' && typeof payload === 'string' ? fixContinuationToken(payload) : payload
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  return { endpoint: `http://127.0.0.1:${port}` }
}

function fixContinuationToken(xml: string): string {
  const keys = [...xml.matchAll(/<(?:Key|CommonPrefixes><Prefix)>([^<]*)</g)].map((match) => match[1] ?? '')
  const last = keys.sort().at(-1)
  if (last === undefined) return xml
  const token = Buffer.from(last).toString('base64')
  return xml.replace(/(<NextContinuationToken>)[^<]*/, `$1${token}`)
}
