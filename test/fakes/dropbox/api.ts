import type { files } from 'dropbox'
import { accountOf, spaceOf } from './account.ts'
import type { DropboxCall } from './call.ts'
import { sendExport, sendFile } from './content.ts'
import { pathLookup } from './failure.ts'
import type { FakeDropboxKnobs } from './knobs.ts'
import type { FakeDropboxLinks } from './links.ts'
import type { FakeDropboxListings } from './listings.ts'
import { deletedMetadata, fileMetadata, folderMetadata, metadataOf, type Entry } from './metadata.ts'
import type { FakeDropboxNode } from './node.ts'
import { parsePath } from './paths.ts'
import type { FakeDropboxRoots } from './roots.ts'
import type { FakeDropboxTree } from './tree.ts'
import type { FakeDropboxUploads } from './uploads.ts'
import type { FakeDropboxWrites } from './writes.ts'

export interface DropboxState {
  readonly tree: FakeDropboxTree
  readonly knobs: FakeDropboxKnobs
  readonly roots: FakeDropboxRoots
  readonly listings: FakeDropboxListings
  readonly links: FakeDropboxLinks
  readonly writes: FakeDropboxWrites
  readonly uploads: FakeDropboxUploads
  /** Revokes the token of a call. */
  readonly revoke: (call: DropboxCall) => void
}

/** The responses that can be lost. */
type LossCounter = Extract<
  keyof FakeDropboxKnobs,
  'lostAppendResponses' | 'lostFinishResponses' | 'lostUploadResponses'
>

/** Dispatches allowed requests. */
export class FakeDropboxApi {
  readonly #state: DropboxState

  constructor(state: DropboxState) {
    this.#state = state
  }

  handle(call: DropboxCall): void {
    const { tree, knobs, listings, links, writes, uploads } = this.#state
    const { view } = call
    switch (call.operation) {
      case 'auth/token/revoke':
        this.#state.revoke(call)
        call.send(null)
        return
      case 'users/get_current_account':
        call.send(accountOf(call.caller.user, this.#state.roots.info(), tree.teamRoot !== undefined))
        return
      case 'users/get_space_usage':
        call.send(spaceOf(tree.usedBytes(), knobs.quotaBytes, tree.teamRoot !== undefined))
        return
      case 'files/list_folder':
        call.send(listings.start(call))
        return
      case 'files/list_folder/continue':
        call.send(listings.continue(call))
        return
      case 'files/list_folder/get_latest_cursor':
        call.send(listings.latest(call))
        return
      case 'files/get_metadata':
        call.send(metadataByPath(call))
        return
      case 'files/get_temporary_link':
        call.send(links.create(call))
        return
      case 'files/create_folder_v2': {
        const node = writes.createFolder(view, call.arg as files.CreateFolderArg)
        call.send({ metadata: folderMetadata(view, node) } satisfies files.CreateFolderResult)
        return
      }
      case 'files/delete_v2': {
        const node = writes.deletable(view, call.arg as files.DeleteArg)
        const metadata = metadataOf(view, node)
        tree.remove(node)
        call.send({ metadata } satisfies files.DeleteResult)
        return
      }
      case 'files/download':
        sendFile(call, knobs)
        return
      case 'files/export':
        sendExport(call, knobs)
        return
      case 'files/upload':
        this.#sendSaved(call, uploads.upload(call), 'lostUploadResponses')
        return
      case 'files/upload_session/start':
        call.send(uploads.start(call))
        return
      case 'files/upload_session/append_v2':
        uploads.append(call)
        if (!this.#loseResponse(call, 'lostAppendResponses')) call.send(null)
        return
      case 'files/upload_session/finish':
        this.#sendSaved(call, uploads.finish(call), 'lostFinishResponses')
    }
  }

  #sendSaved(call: DropboxCall, node: FakeDropboxNode, counter: LossCounter): void {
    if (!this.#loseResponse(call, counter)) call.send(fileMetadata(call.view, node))
  }

  /** Returns whether it has reset the connection instead of responding. */
  #loseResponse({ response }: DropboxCall, counter: LossCounter): boolean {
    const { knobs } = this.#state
    if (knobs[counter] <= 0) return false
    knobs[counter]--
    response.socket?.resetAndDestroy()
    return true
  }
}

function metadataByPath(call: DropboxCall): Entry {
  const { view } = call
  const arg = call.arg as files.GetMetadataArg
  const { start = '', names = [] } = parsePath(arg.path) ?? {}
  const parentPath =
    start +
    names
      .slice(0, -1)
      .map((name) => `/${name}`)
      .join('')
  const name = names.at(-1) ?? ''
  if (arg.include_deleted === true && name !== '') {
    const folder = view.node(parentPath)
    const deletedName = view.tree.deletedNames(folder).find((other) => other.toLowerCase() === name.toLowerCase())
    if (deletedName !== undefined) return deletedMetadata(view, folder, deletedName)
  }
  const node = view.node(arg.path)
  // An item without metadata by its path has none by its ID either.
  if (node === view.base) throw pathLookup({ '.tag': 'not_found' })
  return metadataOf(view, node, arg)
}
