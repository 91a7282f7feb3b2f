import type { FakeDriveNode } from '../../test/fakes/drive/node.ts'
import type { FakeDriveTree } from '../../test/fakes/drive/tree.ts'
import { COLLEAGUE_TITLES } from '../content/names.ts'
import { text } from '../content/samples.ts'

/** One more file replaces the oldest one. */
export const MAX_COLLEAGUE_FILES = 20

interface ColleagueFile {
  readonly node: FakeDriveNode
  readonly title: string
  /** The part of its name that increases with each renaming. */
  version: number
}

/**
 * Another client of the emulated Drive. It changes My Drive without a request to the server, so that the server learns
 * of the changes only through Google's log.
 */
export class GoogleColleague {
  readonly #tree: FakeDriveTree
  /** The oldest first. */
  #files: ColleagueFile[] = []
  #nextTitle = 0
  #changeCount = 0

  constructor(tree: FakeDriveTree) {
    this.#tree = tree
  }

  get changeCount(): number {
    return this.#changeCount
  }

  /** The names of its files in My Drive, the oldest first. */
  get fileNames(): readonly string[] {
    return this.#existingFiles().map(({ node }) => node.name)
  }

  /** Adds a file to My Drive. If there are too many, it removes the oldest one first. */
  addFile(): void {
    const files = this.#existingFiles()
    const oldest = files.length < MAX_COLLEAGUE_FILES ? undefined : files.shift()
    if (oldest !== undefined) this.#remove(oldest)
    const title = COLLEAGUE_TITLES[this.#nextTitle++ % COLLEAGUE_TITLES.length] ?? ''
    const version = this.#freeVersion(title, 1)
    const node = this.#tree.addFile({ name: nameOf(title, version), ...text(`${title}, by a colleague.\n`) })
    this.#files = [...files, { node, title, version }]
    this.#changeCount++
  }

  /** Gives its latest file the name of a new version. Does nothing if it has no file. */
  renameFile(): void {
    const latest = this.#existingFiles().at(-1)
    if (latest === undefined) return
    latest.version = this.#freeVersion(latest.title, latest.version + 1)
    this.#tree.rename(latest.node, nameOf(latest.title, latest.version))
    this.#changeCount++
  }

  /** Removes its latest file. Does nothing if it has no file. */
  removeFile(): void {
    const latest = this.#existingFiles().at(-1)
    if (latest !== undefined) this.#remove(latest)
  }

  #remove(file: ColleagueFile): void {
    // Deleted permanently: the trash would grow with each file.
    this.#tree.remove(file.node)
    this.#changeCount++
  }

  /** Users may trash its files, too. */
  #existingFiles(): ColleagueFile[] {
    return this.#files.filter(({ node }) => this.#tree.find(node.id) === node && !this.#tree.isTrashed(node))
  }

  /** Google would allow a second file of the same name: users may upload one, and titles are used again. */
  #freeVersion(title: string, atLeast: number): number {
    const names = new Set(this.#tree.children().map(({ name }) => name))
    let version = atLeast
    while (names.has(nameOf(title, version))) version++
    return version
  }
}

function nameOf(title: string, version: number): string {
  return version === 1 ? `${title}.txt` : `${title} v${version}.txt`
}
