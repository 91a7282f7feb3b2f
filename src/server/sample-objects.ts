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
const PARTS = 'Arriving,Reading a folder page by page,Opening a document,When a connection ends,Leaving'.split(',')

/** Files with names in other scripts, each in a folder of its own. */
const ELSEWHERE = [
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
    note('Welcome.txt', 'This bucket is in the memory of the demo. Everything in it is made up.'),
    ...PARTS.map((title, at) => chapter(`Handbook/${at + 1} ${title}.txt`, title)),
    ...MONTHS.flatMap((month, at) => CUSTOMERS.map((customer) => invoice(month, at + 1, customer))),
    ...range(240).map((number) => receipt(number)),
    ...ELSEWHERE.map((path) => note(`Elsewhere/${path}`, `The name of this file is ${path}.`))
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
  return note(key, `Invoice to ${customer}, ${month} 2026: ${120 + number * 7}.00 EUR.`)
}

function receipt(number: number): SampleObject {
  return note(
    `Receipts/Receipt ${pad(number, 3)}.txt`,
    `Receipt ${number}: ${(number * 1.75).toFixed(2)} EUR, with thanks.`
  )
}

function note(key: string, text: string): SampleObject {
  return { key, text: `${text}\n` }
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1)
}

function pad(number: number, digits: number): string {
  return String(number).padStart(digits, '0')
}
