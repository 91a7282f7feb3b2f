import { fileNameOf, plainFileName } from '../../src/client/file-name.ts'

/** A drop target for files. */
export class DropZone {
  /** Whether files are being dragged over it. */
  isOver = false
  readonly #onChange: () => void
  readonly #onDrop: (files: File[], hasFolders: boolean) => void

  constructor(onChange: () => void, onDrop: (files: File[], hasFolders: boolean) => void) {
    this.#onChange = onChange
    this.#onDrop = onDrop
  }

  readonly onDrag = (event: DragEvent): void => {
    if (event.dataTransfer?.types.includes('Files') !== true) return
    // Without this the browser opens the dropped file in place of the page.
    event.preventDefault()
    this.#setOver(event.type === 'dragover')
  }

  readonly onDrop = (event: DragEvent): void => {
    if (event.dataTransfer === null) return
    event.preventDefault()
    this.#setOver(false)
    const { files, hasFolders } = droppedFiles(event.dataTransfer)
    this.#onDrop(files, hasFolders)
  }

  #setOver(isOver: boolean): void {
    if (isOver === this.isOver) return
    this.isOver = isOver
    this.#onChange()
  }
}

/** Returns the dropped files. Without this check, a dropped folder would appear as a file without content. */
function droppedFiles({ items, files }: DataTransfer): { files: File[]; hasFolders: boolean } {
  const folders = [...items].filter((item) => item.webkitGetAsEntry()?.isDirectory === true)
  const names = new Set(folders.map((item) => item.getAsFile()?.name))
  return { files: [...files].filter(({ name }) => !names.has(name)), hasFolders: folders.length > 0 }
}

/** Returns the file name of a download: from the response, else `name`. */
export function downloadName(response: Response | null, name: string): string {
  return (response && fileNameOf(response)) ?? plainFileName(name)
}

/** Starts a browser download. A name in `Content-Disposition` takes precedence over `name`. */
export function saveLink(href: string, name: string): void {
  const link = document.createElement('a')
  link.href = href
  link.download = name
  link.click()
}

/** Delay before the object URL is revoked; the browser must have started the download by then. */
const REVOKE_MS = 60_000

export function saveBlob(content: Blob, name: string): void {
  const href = URL.createObjectURL(content)
  saveLink(href, name)
  setTimeout(() => {
    URL.revokeObjectURL(href)
  }, REVOKE_MS)
}
