import { fileNameOf, plainFileName } from '../client/file-name.ts'

/** Where files may be dropped. */
export class DropZone {
  /** Files are held over it. */
  isOver = false
  readonly #onChange: () => void
  readonly #onDrop: (files: File[], hasFolders: boolean) => void

  constructor(onChange: () => void, onDrop: (files: File[], hasFolders: boolean) => void) {
    this.#onChange = onChange
    this.#onDrop = onDrop
  }

  readonly onDrag = (event: DragEvent): void => {
    if (event.dataTransfer?.types.includes('Files') !== true) return
    // Without this a browser opens what is dropped, instead of the page.
    event.preventDefault()
    this.#become(event.type === 'dragover')
  }

  readonly onDrop = (event: DragEvent): void => {
    if (event.dataTransfer === null) return
    event.preventDefault()
    this.#become(false)
    const { files, hasFolders } = draggedFiles(event.dataTransfer)
    this.#onDrop(files, hasFolders)
  }

  #become(isOver: boolean): void {
    if (isOver === this.isOver) return
    this.isOver = isOver
    this.#onChange()
  }
}

/** What was dropped: a folder has no bytes of its own, and comes as a file all the same. */
function draggedFiles({ items, files }: DataTransfer): { files: File[]; hasFolders: boolean } {
  const folders = [...items].filter((item) => item.webkitGetAsEntry()?.isDirectory === true)
  const names = new Set(folders.map((item) => item.getAsFile()?.name))
  return { files: [...files].filter(({ name }) => !names.has(name)), hasFolders: folders.length > 0 }
}

/** The name to save a download under: the one in its response, else `name`. */
export function downloadName(response: Response | null, name: string): string {
  return (response && fileNameOf(response)) ?? plainFileName(name)
}

/** Makes the browser download a file. The name in its `Content-Disposition` takes precedence over `name`. */
export function saveLink(href: string, name: string): void {
  const link = document.createElement('a')
  link.href = href
  link.download = name
  link.click()
}

/** So long a browser may take to begin with bytes that it has. */
const REVOKE_MS = 60_000

export function saveBlob(content: Blob, name: string): void {
  const href = URL.createObjectURL(content)
  saveLink(href, name)
  setTimeout(() => {
    URL.revokeObjectURL(href)
  }, REVOKE_MS)
}
