import { DriveFailure, notFound } from './failure.ts'
import type { DriveCapabilities, FakeDriveNode } from './node.ts'
import { capabilitiesOf } from './resource.ts'
import type { FakeDriveTree } from './tree.ts'

const SCOPE_PREFIX = 'https://www.googleapis.com/auth/'
export const DRIVE_SCOPE = `${SCOPE_PREFIX}drive`
export const DRIVE_FILE_SCOPE = `${SCOPE_PREFIX}drive.file`
const ALL_FILES_SCOPES = ['drive', 'drive.readonly', 'drive.metadata', 'drive.metadata.readonly'].map(
  (name) => SCOPE_PREFIX + name
)

/** The caller, and the scopes granted to the application. */
export interface DriveCaller {
  readonly user: string
  readonly scopes: readonly string[]
}

/** The tree as one request sees it. */
export class DriveView {
  readonly tree: FakeDriveTree
  readonly caller: DriveCaller
  readonly supportsAllDrives: boolean
  readonly #keys: ReadonlySet<string>

  constructor(
    tree: FakeDriveTree,
    caller: DriveCaller,
    supportsAllDrives: boolean,
    resourceKeys: readonly string[] = []
  ) {
    this.tree = tree
    this.caller = caller
    this.supportsAllDrives = supportsAllDrives
    this.#keys = new Set(resourceKeys)
  }

  /** Returns whether the application may see the node at all. */
  canSee({ flags }: FakeDriveNode): boolean {
    return flags.openedWithApp === true || this.#hasScope(...ALL_FILES_SCOPES)
  }

  /** Returns the node of an ID. Missing rights also give a 404. */
  node(id: string): FakeDriveNode {
    const node = this.tree.find(id)
    const isKnown = node !== undefined && this.canSee(node) && (node.driveId === undefined || this.supportsAllDrives)
    if (!isKnown || !this.#hasKey(node)) throw notFound(id)
    if (node.flags.denied === true) {
      throw new DriveFailure({
        reason: 'insufficientFilePermissions',
        message: `The user does not have sufficient permissions for file ${id}.`
      })
    }
    return node
  }

  /** Returns a node for a change. */
  writable(id: string, ...required: readonly (keyof DriveCapabilities)[]): FakeDriveNode {
    const node = this.node(id)
    if (!this.#hasScope(DRIVE_SCOPE) && node.flags.openedWithApp !== true) {
      throw new DriveFailure({ reason: 'appNotAuthorizedToFile' })
    }
    const capabilities = capabilitiesOf(node)
    if (required.some((name) => capabilities[name] !== true)) {
      throw new DriveFailure({ reason: 'insufficientFilePermissions' })
    }
    return node
  }

  /**
   * Returns a folder for a new child. The root is allowed with `drive.file` too, although it is unreadable then:
   * rclone, which works with both, uses the alias `root` if the lookup returns 404.
   */
  parent(id: string): FakeDriveNode {
    const node = this.tree.find(id) === this.tree.root ? this.tree.root : this.node(id)
    if (capabilitiesOf(node).canListChildren !== true) throw new DriveFailure({ reason: 'parentNotAFolder' })
    if (capabilitiesOf(node).canAddChildren !== true)
      throw new DriveFailure({ reason: 'insufficientParentPermissions' })
    return node
  }

  #hasKey({ id, flags }: FakeDriveNode): boolean {
    return flags.resourceKey === undefined || this.#keys.has(`${id}/${flags.resourceKey}`)
  }

  #hasScope(...scopes: readonly string[]): boolean {
    return this.caller.scopes.some((scope) => scopes.includes(scope))
  }
}
