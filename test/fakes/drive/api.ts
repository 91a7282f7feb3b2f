import type { ServerResponse } from 'node:http'
import type { FakeDavRequest } from '../dav/request.ts'
import { DriveCall } from './call.ts'
import { FakeDriveChanges } from './changes.ts'
import { type FakeDriveOperations, sendExport, sendMedia } from './content.ts'
import { DriveMistake } from './failure.ts'
import type { FakeDriveJournal } from './journal.ts'
import type { FakeDriveKnobs } from './knobs.ts'
import type { DriveMetadata } from './metadata.ts'
import { readMultipart } from './multipart.ts'
import type { FakePages } from '../pages.ts'
import { FakeDriveReads } from './reads.ts'
import { fileResource } from './resource.ts'
import type { DriveRoute } from './routes.ts'
import { FILE_FIELDS, GENERATED_IDS_FIELDS } from './schema.ts'
import type { FakeDriveTree } from './tree.ts'
import { declaredLength, type FakeDriveUploads } from './uploads.ts'
import type { DriveCaller } from './view.ts'
import { FakeDriveWrites, type DriveMedia } from './writes.ts'

export interface DriveState {
  readonly tree: FakeDriveTree
  readonly knobs: FakeDriveKnobs
  readonly journal: FakeDriveJournal
  readonly pages: FakePages<string>
  readonly uploads: FakeDriveUploads
  readonly renderings: FakeDriveOperations
  originOf(host: string): string
}

/** Dispatches allowed requests. */
export class FakeDriveApi {
  readonly #state: DriveState
  readonly #reads: FakeDriveReads
  readonly #changes: FakeDriveChanges
  readonly #writes: FakeDriveWrites

  constructor(state: DriveState) {
    this.#state = state
    this.#reads = new FakeDriveReads(state.pages, state.knobs)
    this.#changes = new FakeDriveChanges(state.journal, state.knobs)
    this.#writes = new FakeDriveWrites(state.knobs)
  }

  /** `caller` is null if the session URI is sufficient. */
  handle(route: DriveRoute, request: FakeDavRequest, response: ServerResponse, caller: DriveCaller | null): void {
    const { tree, knobs } = this.#state
    const call = new DriveCall(route, request, response, tree, caller ?? { user: '', scopes: [] })
    switch (route.operation) {
      case 'about.get':
        this.#reads.about(call)
        return
      case 'drives.list':
        this.#reads.drives(call)
        return
      case 'drives.get':
        this.#reads.drive(call)
        return
      case 'changes.getStartPageToken':
        this.#changes.startPageToken(call)
        return
      case 'changes.list':
        this.#changes.list(call)
        return
      case 'files.list':
        this.#reads.files(call)
        return
      case 'files.get':
        this.#reads.file(call)
        return
      case 'files.download':
        sendMedia(call, knobs)
        return
      case 'files.export':
        sendExport(call, knobs)
        return
      case 'files.render':
        this.#state.renderings.start(call, this.#state.originOf('content'))
        return
      case 'operations.get':
        this.#state.renderings.poll(call, this.#state.originOf('content'))
        return
      case 'rendered.get':
        this.#state.renderings.sendRendered(call)
        return
      case 'files.generateIds':
        this.#generateIds(call)
        return
      case 'files.create':
      case 'files.update':
        this.#saveFile(call, call.metadata())
        return
      case 'files.delete':
        this.#writes.delete(call.view, route.id)
        response.writeHead(204).end()
        return
      case 'upload.create':
      case 'upload.update':
        this.#upload(call)
        return
      case 'upload.put':
        this.#putChunk(call)
        return
      case 'upload.cancel':
        this.#state.uploads.cancel(request, response)
    }
  }

  #generateIds(call: DriveCall): void {
    const mask = call.mask(GENERATED_IDS_FIELDS)
    const count = call.integer('count', 1000, 10)
    const type = call.text('type') ?? 'files'
    call.send(this.#writes.generateIds(call.view, count, call.text('space') ?? 'drive', type), mask)
  }

  #saveFile(call: DriveCall, metadata: DriveMetadata, media?: DriveMedia): void {
    const mask = call.mask(FILE_FIELDS)
    call.send(fileResource(this.#applyChange(call, metadata, media), this.#state.tree), mask)
  }

  #upload(call: DriveCall): void {
    const { request, view, route } = call
    const type = call.text('uploadType')
    if (type === 'multipart') {
      const { metadata, media } = readMultipart(call)
      this.#saveFile(call, metadata, media)
      return
    }
    if (type !== 'resumable') throw new DriveMistake(`uploadType=${type}`)
    const mask = call.mask(FILE_FIELDS)
    // The metadata of an update may be empty.
    const metadata = request.body?.length === 0 ? {} : call.metadata()
    const bytes = declaredLength(request) ?? 0
    if (call.method === 'create') this.#writes.checkCreate(view, metadata, bytes)
    else this.#writes.checkUpdate(view, route.id, metadata, bytes)
    const mimeType = request.headers['x-upload-content-type']
    const complete = (media: DriveMedia) => this.#applyChange(call, metadata, media)
    this.#state.uploads.start(call, { mimeType, mask, complete })
  }

  #putChunk(call: DriveCall): void {
    const completed = this.#state.uploads.put(call.request, call.response)
    if (completed !== undefined) call.send(fileResource(completed.node, this.#state.tree), completed.mask)
  }

  #applyChange({ method, route, view, request }: DriveCall, metadata: DriveMetadata, media?: DriveMedia) {
    return method === 'create'
      ? this.#writes.create(view, metadata, media)
      : this.#writes.update(view, route.id, metadata, request.query, media)
  }
}
