import { Task, type TaskOptions } from '../picker/task.ts'
import type { DocumentsApi, DocumentView } from './documents-api.ts'

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

  drop(id: string): void {
    this.items = this.items.filter((item) => item.id !== id)
  }
}
