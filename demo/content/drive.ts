import { createHash } from 'node:crypto'
import type { FakeDriveNode } from '../../test/fakes/drive/node.ts'
import type { FakeDriveTree } from '../../test/fakes/drive/tree.ts'
import { fillDocuments } from './drive-documents.ts'
import { commonSamples, text } from './samples.ts'

/** Parts of Drive to which tests refer. */
export const LONG_FOLDER = { id: idOf('Five thousand'), name: 'Five thousand', entries: 5000 } as const
export const SHARED_DRIVES = [
  { id: '0ADemoArchivePVA', name: 'Archive' },
  { id: '0ADemoTeamPVA', name: 'Team' }
] as const
/** Only Drive allows a slash in a name. */
export const SLASH_NAME = '</script><script>alert(2)</script>.txt'

const BASE_TIME_MS = Date.UTC(2025, 5, 1)
const SECOND_MS = 1000

/** Fills My Drive and two shared drives: the ids, names, dates and bytes are the same at each start. */
export function fillDrive(tree: FakeDriveTree): void {
  for (const { path, file, modified } of commonSamples()) {
    const seed = { ...nodeSeed(path), created: modified, modified }
    if (file === null) tree.addFolder(seed)
    else tree.addFile({ ...seed, ...file })
  }
  const dates = { created: new Date(BASE_TIME_MS), modified: new Date(BASE_TIME_MS) }
  tree.addFile({ ...nodeSeed(['Names', SLASH_NAME]), ...dates, ...text('A name with slashes.\n') })
  fillDocuments(tree, (...path) => ({ ...nodeSeed(path), ...dates }))
  fillLongFolder(tree)
  for (const { id, name } of SHARED_DRIVES) fillSharedDrive(tree, tree.addDrive(name, id), dates)
}

/** Returns the id of an item in My Drive, by its path. */
export function idOf(...path: readonly string[]): string {
  const digest = createHash('sha256').update(path.join('\0')).digest('base64url')
  return `1${digest.slice(0, 32)}`
}

function nodeSeed(path: readonly string[]) {
  const parentPath = path.slice(0, -1)
  return { id: idOf(...path), name: path.at(-1) ?? '', ...(parentPath.length > 0 && { parent: idOf(...parentPath) }) }
}

function fillLongFolder(tree: FakeDriveTree): void {
  const { name: folder, entries } = LONG_FOLDER
  const datesOf = (index: number) => ({
    created: new Date(BASE_TIME_MS + index * SECOND_MS),
    modified: new Date(BASE_TIME_MS + index * SECOND_MS)
  })
  tree.addFolder({ ...nodeSeed([folder]), ...datesOf(0) })
  for (let number = 1; number <= entries; number++) {
    const digits = String(number).padStart(4, '0')
    tree.addFile({
      ...nodeSeed([folder, `Scan ${digits}.txt`]),
      ...datesOf(number),
      ...text(`This is scan ${digits} of ${entries}.\n`)
    })
  }
}

function fillSharedDrive(tree: FakeDriveTree, drive: FakeDriveNode, dates: { created: Date; modified: Date }): void {
  const { name } = drive
  const folder = tree.addFolder({ id: idOf(name, 'Plans'), name: 'Plans', parent: drive, ...dates })
  tree.addFile({
    id: idOf(name, 'About.txt'),
    name: 'About.txt',
    parent: drive,
    ...dates,
    ...text(`The shared drive ${name}.\n`)
  })
  for (let number = 1; number <= 30; number++) {
    const plan = `Plan ${number}.txt`
    tree.addFile({
      id: idOf(name, 'Plans', plan),
      name: plan,
      parent: folder,
      ...dates,
      ...text(`${plan} of ${name}\n`)
    })
  }
}
