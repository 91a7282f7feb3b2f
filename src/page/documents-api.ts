import type { paths } from '../client/api-types.ts'
import { readProblem } from '../picker/problem.ts'
import type { OnProgress } from '../picker/picker-api.ts'
import { putFile } from '../picker/put-file.ts'

type DocumentPage = paths['/documents']['get']['responses'][200]['content']['application/json']

/** A document, as the server's routes return it. */
export type DocumentView = DocumentPage['documents'][number]

/** A file of a cloud to add as a document. */
export interface KeptFile {
  readonly provider: string
  readonly connectionId: string
  readonly objectKey: string
}

interface Question {
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
    return (await (await this.#ask(`/documents${query}`, { signal })).json()) as DocumentPage
  }

  async keep(file: KeptFile, signal: AbortSignal): Promise<DocumentView> {
    return await this.#make(file, signal)
  }

  async remove(id: string, signal: AbortSignal): Promise<void> {
    await this.#ask(pathOf(id), { method: 'DELETE', signal })
  }

  /** Creates a document from a file. If the upload fails, it tries to delete the document. */
  async upload(file: File, onProgress: OnProgress, signal: AbortSignal): Promise<DocumentView> {
    const { id } = await this.#make({ name: file.name }, signal)
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
    return await this.#ask(`${pathOf(id)}/content`, { signal })
  }

  async #make(body: object, signal: AbortSignal): Promise<DocumentView> {
    return (await (await this.#ask('/documents', { method: 'POST', body, signal })).json()) as DocumentView
  }

  async #ask(path: string, { method = 'GET', body, signal }: Question): Promise<Response> {
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
