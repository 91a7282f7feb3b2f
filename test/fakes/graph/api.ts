import type { ServerResponse } from 'node:http'
import type { FakeCloudRequest } from '../fake-cloud.ts'
import { GraphCall, objectOf } from './call.ts'
import type { FakeGraphDelta } from './delta.ts'
import type { FakeGraphDownloads } from './downloads.ts'
import { GraphFailure, GraphMistake, invalidRequest } from './failure.ts'
import type { FakeGraphKnobs } from './knobs.ts'
import { checkName } from './name.ts'
import type { FakeGraphNotifications } from './notifications.ts'
import type { FakePages } from '../pages.ts'
import { FakeGraphReads, type GraphOrigins } from './reads.ts'
import type { GraphRoute } from './routes.ts'
import type { FakeGraphTree } from './tree.ts'
import type { FakeGraphUploads } from './uploads.ts'
import { checkHasChildren, type GraphCaller } from './view.ts'
import { parseBehavior, checkFolder, FakeGraphWrites, type ConflictBehavior, type SaveRequest } from './writes.ts'
import { sendJson } from '../fake-server.ts'

export interface GraphState extends GraphOrigins {
  readonly tree: FakeGraphTree
  readonly knobs: FakeGraphKnobs
  readonly pages: FakePages<unknown>
  readonly uploads: FakeGraphUploads
  readonly downloads: FakeGraphDownloads
  readonly delta: FakeGraphDelta
  readonly notifications: FakeGraphNotifications
}

const BEHAVIOR = '@microsoft.graph.conflictBehavior'
const SESSION_FIELDS = ['@odata.type', BEHAVIOR, 'name', 'fileSize', 'description', 'fileSystemInfo']

/** Dispatches allowed requests. */
export class FakeGraphApi {
  readonly #state: GraphState
  readonly #reads: FakeGraphReads
  readonly #writes: FakeGraphWrites

  constructor(state: GraphState) {
    const { pages, downloads, knobs, tree } = state
    this.#state = state
    this.#reads = new FakeGraphReads(pages, downloads, knobs, state)
    this.#writes = new FakeGraphWrites(tree, knobs)
  }

  /** Handles requests to pre-authenticated addresses. */
  handleUnauthenticated({ operation }: GraphRoute, request: FakeCloudRequest, response: ServerResponse): void {
    const { downloads, uploads } = this.#state
    if (operation === 'content.get') downloads.send(request, response)
    else if (operation === 'session.put') uploads.put(request, response)
    else if (operation === 'session.status') uploads.status(request, response)
    else uploads.cancel(request, response)
  }

  handle(route: GraphRoute, request: FakeCloudRequest, response: ServerResponse, caller: GraphCaller): void {
    const { noDriveError } = this.#state.knobs
    if (noDriveError !== undefined && /^\/v1\.0\/me\/drive(?:\/|$)/.test(request.path))
      throw new GraphFailure(noDriveError)
    const call = new GraphCall(route, request, response, this.#state.tree, caller)
    switch (route.operation) {
      case 'me.get':
        this.#reads.me(call)
        return
      case 'drive.get':
        this.#reads.drive(call)
        return
      case 'item.get':
        this.#reads.item(call)
        return
      case 'item.list':
        this.#reads.children(call)
        return
      case 'item.delta':
        this.#state.delta.send(call, this.#state.url)
        return
      case 'drive.socketIo':
        this.#state.notifications.send(call)
        return
      case 'item.download':
        this.#reads.download(call)
        return
      case 'sites.search':
        this.#reads.sites(call)
        return
      case 'site.get':
        this.#reads.site(call)
        return
      case 'site.drives':
        this.#reads.siteDrives(call)
        return
      case 'site.sites':
        this.#reads.subsites(call)
        return
      case 'item.upload':
        this.#upload(call)
        return
      case 'item.delete':
        this.#writes.delete(call.view.writable(route), request.headers['if-match'])
        response.writeHead(204).end()
        return
      case 'folder.create':
        this.#createFolder(call)
        return
      case 'session.create':
        this.#createSession(call)
        return
      case 'content.get':
      case 'session.put':
      case 'session.status':
      case 'session.cancel':
        throw new GraphMistake('a secret address at the Graph')
    }
  }

  #upload(call: GraphCall): void {
    const { content } = call
    if (content.length > this.#state.knobs.maxSimpleBytes) {
      throw new GraphMistake(`${content.length} bytes without a session`, { code: 'requestEntityTooLarge' })
    }
    const { node, isNew } = this.#writes.save(this.#parseSave(call, call.text(BEHAVIOR), 'replace'), content)
    call.send(this.#reads.fullResource(call, node), isNew ? 201 : 200)
  }

  #createFolder(call: GraphCall): void {
    const { name, folder, [BEHAVIOR]: requestedBehavior } = call.json(['name', 'folder', BEHAVIOR])
    objectOf(folder, 'folder', [])
    if (typeof name !== 'string') throw new GraphMistake('a folder without a name')
    const behavior = parseBehavior(requestedBehavior, 'fail')
    const parent = call.view.node(call.route, true)
    const drive = this.#state.tree.driveOf(parent)
    checkHasChildren(parent)
    checkFolder(parent)
    checkName(name, [...drive.folderNamesOf(parent), parent.name])
    const existing = drive.childNamed(parent, name)
    const folderNode = this.#writes.createFolder({ drive, folder: parent, name, existing }, behavior)
    call.send(this.#reads.fullResource(call, folderNode), 201)
  }

  #createSession(call: GraphCall): void {
    const { item = {}, deferCommit = false } = call.content.length === 0 ? {} : call.json(['item', 'deferCommit'])
    if (deferCommit !== false) throw new GraphMistake('deferCommit, which the fake does not know')
    const { [BEHAVIOR]: requestedBehavior, name, fileSize, description } = objectOf(item, 'item', SESSION_FIELDS)
    const save = this.#parseSave(call, requestedBehavior, 'fail')
    if (name !== undefined && name !== (save.target ?? save.file)?.name)
      throw new GraphMistake('another name in the body')
    const isPersonalOnly = fileSize !== undefined || description !== undefined
    if (isPersonalOnly && !this.#state.knobs.acceptsFileSize) {
      throw invalidRequest('The request is malformed or incorrect: fileSize and description are unknown here.')
    }
    if (fileSize !== undefined && !(Number.isSafeInteger(fileSize) && typeof fileSize === 'number')) {
      throw new GraphMistake(`the fileSize ${JSON.stringify(fileSize)}`)
    }
    if (fileSize !== undefined && fileSize <= 0) throw invalidRequest('A session cannot make an empty file.')
    this.#writes.check(save, fileSize)
    const session = this.#state.uploads.createSession(this.#state.contentUrl, {
      fileSize,
      complete: (content, response) => {
        const { node, isNew } = this.#writes.save(save, content)
        sendJson(response, isNew ? 201 : 200, this.#reads.fullResource(call, node))
      }
    })
    call.send({ '@odata.context': `${this.#state.url}/v1.0/$metadata#microsoft.graph.uploadSession`, ...session })
  }

  /** Returns the target and the conditions of a request that writes content. */
  #parseSave(call: GraphCall, requestedBehavior: unknown, defaultBehavior: ConflictBehavior): SaveRequest {
    const { view, route, request } = call
    const conditions = { ifMatch: request.headers['if-match'], ifNoneMatch: request.headers['if-none-match'] }
    if (route.names.length > 0) {
      const target = view.target(route, true)
      checkFolder(target.folder)
      return { ...conditions, target, file: undefined, behavior: parseBehavior(requestedBehavior, defaultBehavior) }
    }
    const file = view.writable(route)
    checkHasChildren(file)
    if (file.content === undefined) throw invalidRequest('You cannot set the content of a folder')
    const behavior = parseBehavior(requestedBehavior, 'replace')
    if (behavior === 'rename') throw new GraphMistake('another name for a file that is known by its id')
    return { ...conditions, target: undefined, file, behavior }
  }
}

/** The response to a request without a valid token. */
export const unauthenticated = (isEmpty: boolean) =>
  new GraphFailure({
    code: 'InvalidAuthenticationToken',
    message: isEmpty ? 'Access token is empty.' : 'Lifetime validation failed, the token is expired.'
  })
