import { bodyLength, type OnProgress, putFile } from '../picker/api.ts'
import { downloadName } from '../picker/files.ts'
import { readProblem } from '../picker/problem.ts'
import { Task, type TaskOptions } from '../picker/state/task.ts'

/** A document, as the server's routes return it. */
export interface DocumentView {
  readonly id: string
  readonly name: string
  readonly mimeType: string | null
  /** In bytes; `null` if it is unknown. */
  readonly size: number | null
  /** The provider that stores it; `null` if the server stores it. */
  readonly provider: string | null
  readonly connectionId: string | null
  readonly objectKey: string | null
  /** `false` until content is uploaded. */
  readonly hasContent: boolean
  readonly createdAt: string
  readonly updatedAt: string
}

interface DocumentPage {
  readonly documents: readonly DocumentView[]
  readonly page: { readonly next: string | null }
  /** `null` if the server accepts no uploads. */
  readonly uploads: { readonly maxBytes: number | null } | null
}

/** A file of a cloud to add as a document. */
export interface CloudFile {
  readonly provider: string
  readonly connectionId: string
  readonly objectKey: string
}

interface RequestOptions {
  readonly method?: string
  readonly body?: object
  readonly signal: AbortSignal
}

/** Calls the document routes. Every method rejects with a `PickerProblem`, or with the reason of its signal. */
export class DocumentsApi {
  readonly #headers: () => Readonly<Record<string, string>>

  constructor(headers: () => Readonly<Record<string, string>>) {
    this.#headers = headers
  }

  async list(cursor: string | null, signal: AbortSignal): Promise<DocumentPage> {
    const query = cursor === null ? '' : `?${new URLSearchParams({ cursor }).toString()}`
    return (await (await this.#request(`/documents${query}`, { signal })).json()) as DocumentPage
  }

  async addFromCloud(file: CloudFile, signal: AbortSignal): Promise<DocumentView> {
    return await this.#create(file, signal)
  }

  async remove(id: string, signal: AbortSignal): Promise<void> {
    await this.#request(pathOf(id), { method: 'DELETE', signal })
  }

  /** Creates a document from a file. If the upload fails, it tries to delete the document. */
  async upload(file: File, onProgress: OnProgress, signal: AbortSignal): Promise<DocumentView> {
    const { id } = await this.#create({ name: file.name }, signal)
    try {
      const stored = await putFile(`${pathOf(id)}/content`, file, { headers: this.#headers() }, onProgress, signal)
      return stored as DocumentView
    } catch (error) {
      await this.remove(id, new AbortController().signal).catch(() => {})
      throw error
    }
  }

  /** Returns the response with the content of a document, as a stream. */
  async download(id: string, signal: AbortSignal): Promise<Response> {
    return await this.#request(`${pathOf(id)}/content`, { signal })
  }

  async #create(body: object, signal: AbortSignal): Promise<DocumentView> {
    return (await (await this.#request('/documents', { method: 'POST', body, signal })).json()) as DocumentView
  }

  async #request(path: string, { method = 'GET', body, signal }: RequestOptions): Promise<Response> {
    const response = await fetch(path, {
      method,
      signal,
      credentials: 'same-origin',
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...this.#headers() },
      ...(body !== undefined && { body: JSON.stringify(body) })
    })
    if (!response.ok) throw readProblem(response.status, response.headers, await response.text())
    return response
  }
}

function pathOf(id: string): string {
  return `/documents/${encodeURIComponent(id)}`
}

/** The loaded part of the user's documents. */
export class DocumentList {
  items: readonly DocumentView[] = []
  next: string | null = null
  /** `undefined` until the first response; `null` if the server accepts no uploads. */
  uploads: { readonly maxBytes: number | null } | null | undefined
  readonly loading: Task
  readonly #api: DocumentsApi

  constructor(api: DocumentsApi, options: TaskOptions) {
    this.#api = api
    this.loading = new Task(options)
  }

  /** Loads the first page. */
  async load(): Promise<void> {
    await this.loading.run(async (signal) => {
      const { documents, page, uploads } = await this.#api.list(null, signal)
      this.items = documents
      this.next = page.next
      this.uploads = uploads
    })
  }

  async loadMore(): Promise<void> {
    await this.loading.run(async (signal) => {
      const { documents, page } = await this.#api.list(this.next, signal)
      const known = new Set(this.items.map(({ id }) => id))
      this.items = [...this.items, ...documents.filter(({ id }) => !known.has(id))]
      this.next = page.next
    })
  }

  /** Adds a document at the top: newest first. */
  add(document: DocumentView): void {
    this.items = [document, ...this.items.filter(({ id }) => id !== document.id)]
  }

  removeItem(id: string): void {
    this.items = this.items.filter((item) => item.id !== id)
  }
}

/** A file on the user's disk, still empty. */
export interface WritableFile {
  createWritable(): Promise<WritableStream<Uint8Array<ArrayBuffer>>>
}

type ChooseFile = (options: { suggestedName: string }) => Promise<WritableFile>

/** Downloads of at least this size are streamed to disk, if the browser can. Smaller ones are buffered in memory. */
const MIN_STREAMED_BYTES = 64 * 1024 * 1024

/**
 * Asks where to save a large download. Must be called from the click handler. A plain link does not work here: the
 * page authenticates with a bearer token, which a link cannot send.
 * @returns `memory` if the file is small or the browser cannot write files; `null` if the user cancels
 */
export async function chooseFile(name: string, size: number | null): Promise<WritableFile | 'memory' | null> {
  const { showSaveFilePicker: choose } = globalThis as { showSaveFilePicker?: ChooseFile }
  if (choose === undefined || (size !== null && size < MIN_STREAMED_BYTES)) return 'memory'
  try {
    return await choose({ suggestedName: downloadName(null, name) })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return null
    // The browser may reject the name, or refuse for other reasons.
    return 'memory'
  }
}

/** Writes a body to its destination. An interrupted download leaves no file. */
export async function saveBody(
  file: WritableFile | 'memory',
  response: Response,
  onProgress: OnProgress,
  signal: AbortSignal
): Promise<Blob | null> {
  const body = (response.body ?? new Blob([]).stream()).pipeThrough(progressStream(bodyLength(response), onProgress))
  const type = response.headers.get('content-type')
  // Without a type, browsers guess one and may change the file extension.
  if (file === 'memory')
    return await new Response(body, { headers: type === null ? {} : { 'content-type': type } }).blob()
  await body.pipeTo(await file.createWritable(), { signal })
  return null
}

function progressStream(
  total: number | null,
  onProgress: OnProgress
): TransformStream<Uint8Array, Uint8Array<ArrayBuffer>> {
  let done = 0
  return new TransformStream({
    transform(chunk: Uint8Array<ArrayBuffer>, controller) {
      done += chunk.byteLength
      onProgress(done, total)
      controller.enqueue(chunk)
    }
  })
}
