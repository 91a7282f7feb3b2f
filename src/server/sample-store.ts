import type { AddressInfo } from 'node:net'
import { sampleObjects } from './sample-objects.ts'

export const SAMPLE_BUCKET = 'samples'

/** An S3-compatible store in this process, in memory, on loopback. It checks no signature and accepts any keys. */
export interface SampleStore {
  /** `127.0.0.1:port` */
  readonly address: string
  readonly objects: number
  close(): Promise<void>
}

/** Starts the store with its samples. @throws Error that names the package to install */
export async function openSampleStore(): Promise<SampleStore> {
  const { buildApp } = await importFauxqs()
  const store = buildApp({ logger: false })
  // fauxqs 1.9.2 continues after the last key of a page even if a folder followed, and lists that folder again.
  store.addHook('onSend', async (request, _reply, payload) => {
    const isListing = (request.query as Readonly<Record<string, unknown>>)['list-type'] === '2'
    return isListing && typeof payload === 'string' ? continueBehindLast(payload) : payload
  })
  await store.inject({ method: 'PUT', url: `/${SAMPLE_BUCKET}` })
  const objects = sampleObjects()
  for (const { key, text } of objects) {
    const url = `/${SAMPLE_BUCKET}/${key.split('/').map(encodeURIComponent).join('/')}`
    const answer = await store.inject({ method: 'PUT', url, headers: { 'content-type': 'text/plain' }, payload: text })
    if (answer.statusCode !== 200) throw new Error(`The demo's store rejected ${key}`)
  }
  await store.listen({ host: '127.0.0.1', port: 0 })
  const { port } = store.server.address() as AddressInfo
  return { address: `127.0.0.1:${port}`, objects: objects.length, close: () => store.close() }
}

async function importFauxqs() {
  try {
    return await import('fauxqs')
  } catch (cause) {
    throw new Error(
      'The demo needs the package "fauxqs", a development dependency: run `npm install`, or `npm install fauxqs@1.9.2`. ' +
        'To run as a service instead, set DATABASE_URL',
      { cause }
    )
  }
}

function continueBehindLast(xml: string): string {
  const listed = [...xml.matchAll(/<(?:Key|CommonPrefixes><Prefix)>([^<]*)</g)].map(([, name = '']) => unescape(name))
  const last = listed.sort().at(-1)
  if (last === undefined) return xml
  const token = Buffer.from(last).toString('base64')
  return xml.replace(/(<NextContinuationToken>)[^<]*/, (_match, tag: string) => tag + token)
}

function unescape(xml: string): string {
  return xml
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&')
}
