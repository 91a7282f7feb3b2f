import { createCipheriv } from 'node:crypto'
import { HARD_NAMES } from './names.ts'
import { onePagePdf } from './pdf.ts'
import { fadingPng } from './png.ts'

/** A file or a folder, the same at each start. */
export interface Sample {
  readonly path: readonly string[]
  /** `null`: a folder. */
  readonly file: SampleFile | null
  readonly modified: Date
}

export interface SampleFile {
  readonly mimeType: string
  readonly content: Buffer
}

/** Files to download and compare, in the folder `Downloads`. */
export const DOWNLOADS: Readonly<Record<string, SampleFile>> = {
  'Readme.txt': text('Whatever you download here is made by the demo itself.\n\nGr\u00fc\u00dfe \u2014 \u4f60\u597d\n'),
  'Colours.png': { mimeType: 'image/png', content: fadingPng(320, 200) },
  'Letter.pdf': {
    mimeType: 'application/pdf',
    content: onePagePdf(['A letter', '', 'This page was made by the demo (all of it).'])
  },
  'Noise (6 MiB).bin': { mimeType: 'application/octet-stream', content: noise(6 * 1024 * 1024) }
}

export const DEEP_LEVELS = 12
export const EMPTY_FOLDER = 'Empty'

const FIRST_MINUTE = Date.UTC(2026, 0, 5, 8)
const MINUTE_MS = 60_000
const YEARS = [2022, 2023, 2024, 2025, 2026]
const MONTHS = 'January February March April May June July August September October November December'.split(' ')
const KINDS = ['Contract', 'Invoice', 'Minutes', 'Offer', 'Plan', 'Report', 'Receipt', 'Sketch', 'Summary', 'Timetable']

/** Returns the samples of each cloud: about 800 entries. */
export function commonSamples(): Sample[] {
  const samples: Omit<Sample, 'modified'>[] = []
  const folder = (...path: string[]): void => void samples.push({ path, file: null })
  const file = (content: SampleFile, ...path: string[]): void => void samples.push({ path, file: content })

  file(text('Everything here is made up, and goes when the demo ends.\n'), 'Welcome.txt')
  folder('Downloads')
  for (const [name, content] of Object.entries(DOWNLOADS)) file(content, 'Downloads', name)
  folder(EMPTY_FOLDER)
  folder('Names')
  for (const name of HARD_NAMES) file(text(`${name}\n`), 'Names', name)
  folder('Names', 'תיקייה 📁')
  file(text('Found.\n'), 'Names', 'תיקייה 📁', 'קובץ.txt')

  const deepPath = ['Deep']
  folder(...deepPath)
  for (let level = 1; level <= DEEP_LEVELS; level++) {
    file(text(`You are ${level - 1} levels down.\n`), ...deepPath, `Sign ${level}.txt`)
    deepPath.push(`Level ${level}`)
    folder(...deepPath)
  }
  file(text('This is the bottom.\n'), ...deepPath, 'Treasure.txt')

  folder('Office')
  for (const year of YEARS) {
    folder('Office', String(year))
    for (const [index, month] of MONTHS.entries()) {
      const name = `${String(index + 1).padStart(2, '0')} ${month}`
      folder('Office', String(year), name)
      for (const kind of KINDS) {
        file(text(`${kind}, ${month} ${year}.\n`), 'Office', String(year), name, `${kind}.txt`)
      }
    }
  }
  return samples.map((sample, index) => ({ ...sample, modified: new Date(FIRST_MINUTE + index * MINUTE_MS) }))
}

export function text(content: string): SampleFile {
  return { mimeType: 'text/plain', content: Buffer.from(content) }
}

/** Returns bytes that look random, do not compress, and are always the same. */
function noise(bytes: number): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16)).update(Buffer.alloc(bytes))
}
