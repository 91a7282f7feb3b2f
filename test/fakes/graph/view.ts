import type { FakeGraphDrive } from './drive.ts'
import { GraphFailure, GraphMistake, invalidRequest, itemNotFound } from './failure.ts'
import { DRIVE_IDS } from './ids.ts'
import { checkName } from './name.ts'
import type { FakeGraphNode, FakeGraphSite } from './node.ts'
import type { GraphRoute } from './routes.ts'
import type { FakeGraphTree } from './tree.ts'

/** The caller, and the scopes granted to the application. */
export interface GraphCaller {
  readonly user: string
  /** `Files.Read` and so on, or the same below `https://graph.microsoft.com/`. */
  readonly scopes: readonly string[]
}

export const ALL_SCOPES = ['User.Read', 'Files.ReadWrite.All', 'Sites.ReadWrite.All']

const RESOURCE = 'https://graph.microsoft.com/'
const WRITE_ALL = ['Files.ReadWrite.All', 'Sites.ReadWrite.All']
const READ_ALL = ['Files.Read.All', 'Sites.Read.All', ...WRITE_ALL]

/** A name in a folder, whether or not an item has it. */
export interface GraphTarget {
  readonly drive: FakeGraphDrive
  readonly folder: FakeGraphNode
  readonly name: string
  readonly existing: FakeGraphNode | undefined
}

/** The tree as one request sees it. */
export class GraphView {
  readonly tree: FakeGraphTree
  readonly caller: GraphCaller

  constructor(tree: FakeGraphTree, caller: GraphCaller) {
    this.tree = tree
    this.caller = caller
  }

  checkUser(): void {
    this.#requireScope(['User.Read', 'User.ReadWrite'])
  }

  checkSites(): void {
    if (this.tree.kind === 'personal') {
      throw new GraphFailure({ code: 'BadRequest', message: 'This API is not supported for MSA accounts' })
    }
    this.#requireScope(['Sites.Read.All', 'Sites.ReadWrite.All'])
  }

  site(id: string): FakeGraphSite {
    this.checkSites()
    const site = this.tree.site(id)
    if (site === undefined)
      throw new GraphFailure({ code: 'itemNotFound', message: 'Requested site could not be found' })
    return site
  }

  drive({ driveId }: GraphRoute, isWrite = false): FakeGraphDrive {
    const { tree, caller } = this
    if (driveId !== undefined && !DRIVE_IDS[tree.kind].test(driveId)) {
      throw invalidRequest('The provided drive id appears to be malformed, or does not represent a valid drive.')
    }
    const drive = driveId === undefined ? tree.ownDrive(caller.user) : tree.drive(driveId)
    const isOwn = drive?.owner === caller.user
    if (isWrite) this.#requireScope([...(isOwn ? ['Files.ReadWrite'] : []), ...WRITE_ALL])
    else this.#requireScope([...(isOwn ? ['Files.Read', 'Files.ReadWrite'] : []), ...READ_ALL])
    if (drive === undefined) throw itemNotFound()
    return drive
  }

  /** Returns the item of a route. */
  node(route: GraphRoute, isWrite = false): FakeGraphNode {
    if (route.names.length === 0) return this.#byId(route, isWrite)
    const { existing } = this.target(route, isWrite)
    if (existing === undefined) throw itemNotFound()
    if (existing.flags.denied === true) throw new GraphFailure({ code: 'accessDenied' })
    return existing
  }

  /** Returns an item for a change. */
  writable(route: GraphRoute): FakeGraphNode {
    const node = this.node(route, true)
    checkUnlocked(node)
    return node
  }

  /** Resolves a path, whether or not an item exists there. */
  target(route: GraphRoute, isWrite: boolean): GraphTarget {
    let folder = this.#byId(route, isWrite)
    const drive = this.tree.driveOf(folder)
    const names = [...route.names]
    const name = names.pop() ?? ''
    for (const folderName of names) {
      const child = drive.childNamed(folder, folderName)
      if (child === undefined && isWrite) throw new GraphMistake('a folder that there is not, which Graph would make')
      if (child === undefined) throw itemNotFound()
      folder = child
    }
    checkName(name, [...drive.folderNamesOf(folder), folder.isRoot ? '' : folder.name])
    checkHasChildren(folder)
    const existing = drive.childNamed(folder, name)
    if (isWrite && existing !== undefined) checkUnlocked(existing)
    return { drive, folder, name, existing }
  }

  #byId(route: GraphRoute, isWrite: boolean): FakeGraphNode {
    const node = this.drive(route, isWrite).find(route.itemId)
    if (node === undefined) throw itemNotFound()
    if (node.flags.denied === true) throw new GraphFailure({ code: 'accessDenied' })
    return node
  }

  #requireScope(scopes: readonly string[]): void {
    const granted = this.caller.scopes.map((scope) => scope.replace(RESOURCE, ''))
    if (!granted.some((scope) => scopes.includes(scope))) throw new GraphFailure({ code: 'accessDenied' })
  }
}

/** A shortcut has no children: they must be requested from its target. */
export function checkHasChildren({ remote }: FakeGraphNode): void {
  if (remote !== undefined) throw itemNotFound()
}

function checkUnlocked({ flags }: FakeGraphNode): void {
  if (flags.locked === true) throw new GraphFailure({ code: 'resourceLocked' })
}
