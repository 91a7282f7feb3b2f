import type { AddressInfo } from 'node:net'

/** An object of the demo's bucket. All are texts, so that any range is readable. */
export interface SampleObject {
  readonly key: string
  readonly text: string
}

/** A folder with more entries than one page. */
export const LONG_FOLDER = 'Receipts/'
/** A folder with subfolders. */
export const NESTED_FOLDER = 'Invoices/'
/** A text of several kilobytes. */
export const LONG_TEXT = 'Handbook/2 Reading a folder page by page.txt'

const MONTHS = 'January February March April May June July August September October November December'.split(' ')
/*
 * The store (fauxqs 1.9.2) sorts alphabetically, but continues a listing by code points. Names in one folder must
 * have the same order in both, or its pages would lose entries.
 */
const CUSTOMERS = [
  'Bäckerei Müller',
  'Café Zoë',
  'Fjällräven & Söner',
  'O’Brien Ltd',
  'Studio Ødegård',
  'Zürich & Çelik'
]
const CHAPTERS = 'Arriving,Reading a folder page by page,Opening a document,When a connection ends,Leaving'.split(',')

/** Files with names in other scripts, each in a folder of its own. */
const INTERNATIONAL_PATHS = [
  'Čeština/Smlouva o dílo.txt',
  'Ελληνικά/Τιμολόγιο 7.txt',
  'Русский/Договор.txt',
  'עברית/חשבונית.txt',
  'العربية/فاتورة.txt',
  'हिन्दी/रसीद.txt',
  '日本語/領収書.txt'
]

/** Returns a few hundred objects in nested folders, the same at each start. */
export function sampleObjects(): SampleObject[] {
  return [
    textObject('Welcome.txt', 'This bucket is in the memory of the demo. Everything in it is made up.'),
    ...CHAPTERS.map((title, index) => chapter(`Handbook/${index + 1} ${title}.txt`, title)),
    ...MONTHS.flatMap((month, index) => CUSTOMERS.map((customer) => invoice(month, index + 1, customer))),
    ...range(240).map((number) => receipt(number)),
    ...INTERNATIONAL_PATHS.map((path) => textObject(`Elsewhere/${path}`, `The name of this file is ${path}.`))
  ]
}

/** Returns a text of about 5 KB with numbered lines. */
export function longText(title: string): string {
  const lines = range(80).map((line) => `${pad(line, 3)}  ${title}: this is line ${line} of 80, for you to cut out.`)
  return `${title}\n\n${lines.join('\n')}\n`
}

function chapter(key: string, title: string): SampleObject {
  return { key, text: longText(title) }
}

function invoice(month: string, number: number, customer: string): SampleObject {
  const key = `Invoices/2026/${pad(number, 2)} ${month}/${customer}.txt`
  return textObject(key, `Invoice to ${customer}, ${month} 2026: ${120 + number * 7}.00 EUR.`)
}

function receipt(number: number): SampleObject {
  return textObject(
    `Receipts/Receipt ${pad(number, 3)}.txt`,
    `Receipt ${number}: ${(number * 1.75).toFixed(2)} EUR, with thanks.`
  )
}

function textObject(key: string, text: string): SampleObject {
  return { key, text: `${text}\n` }
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1)
}

function pad(number: number, digits: number): string {
  return String(number).padStart(digits, '0')
}

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
    return isListing && typeof payload === 'string' ? fixContinuationToken(payload) : payload
  })
  await store.inject({ method: 'PUT', url: `/${SAMPLE_BUCKET}` })
  const objects = sampleObjects()
  for (const { key, text } of objects) {
    const url = `/${SAMPLE_BUCKET}/${key.split('/').map(encodeURIComponent).join('/')}`
    const response = await store.inject({
      method: 'PUT',
      url,
      headers: { 'content-type': 'text/plain' },
      payload: text
    })
    if (response.statusCode !== 200) throw new Error(`The demo's store rejected ${key}`)
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

function fixContinuationToken(xml: string): string {
  const keys = [...xml.matchAll(/<(?:Key|CommonPrefixes><Prefix)>([^<]*)</g)].map(([, name = '']) => unescape(name))
  const last = keys.sort().at(-1)
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
