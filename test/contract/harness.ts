import type { Test } from 'tap'
import type { AccessTokens } from '../../src/core/oauth.ts'
import type { StorageBackend } from '../../src/core/backend.ts'
import type { FakeCloud } from '../fakes/fake-cloud.ts'
import type { OpenEgress } from '../support/backend/egress.ts'

/** Deviations of a real server, each with its reason. The suite expects exactly that deviation. */
export interface Exceptions {
  /** Names that begin with a dot are not listed. */
  readonly hidesDotFiles?: string
  /** Listings have no versions. Downloads have them, and they are valid for conditional replacements. */
  readonly listsNoVersions?: string
  /** The page of the root is not covered. */
  readonly rootIsNotCovered?: string
  /** A page may have an old `webUrl` after a folder above was renamed. */
  readonly webUrlIsNotCovered?: string
  /** No page is covered: the server does not tell what would be needed. */
  readonly coversNothing?: string
}

/** Changes that another client of the service makes, by path. A path has no `/` at its end; `''` is `folderId`. */
export interface OtherClient {
  /** The folder that the paths begin at: the root (`null`), or another one if the root is not covered. */
  readonly folderId: string | null
  readonly create: OpenedBackend['seed']
  readonly write: (path: string, content: string) => void | Promise<void>
  readonly rename: (path: string, name: string) => void | Promise<void>
  readonly move: (path: string, folder: string) => void | Promise<void>
  /** Deletes it permanently, with its content. */
  readonly remove: (path: string) => void | Promise<void>
  /** Moves it to the trash. The same as `remove` if the API of the service has one operation for both. */
  readonly trash: (path: string) => void | Promise<void>
  /** Makes all positions and marks expire. `null`: they never do. */
  readonly losePositions: (() => void) | null
  /** Limits the number of changes on a page of the feed. `null`: the service does not report single changes. */
  readonly limitFeedPages: ((changes: number) => void) | null
  /** Adds a scope that is not the root's, such as a shared drive. `null`: the provider has one scope. */
  readonly addScope: (() => OtherScope) | null
}

/** The paths begin at `folderId`. */
export interface OtherScope extends Pick<OtherClient, 'create' | 'remove'> {
  readonly folderId: string
  /** Whether this folder is the top of the scope. */
  readonly isTop: boolean
}

/** The setup of a provider's harness for one test. */
export interface OpenedBackend {
  /** Opened on an empty folder of its own. */
  readonly backend: StorageBackend
  /**
   * Creates files without the backend, by path (`a/b.txt`), with their content. A path that ends with `/` is an empty
   * folder.
   */
  readonly seed: (files: Readonly<Record<string, string | Buffer>>) => Promise<void>
  /** Present exactly if the backend covers pages. */
  readonly otherClient?: () => OtherClient
  /** Whether the service stores names in NFC, regardless of their original form. */
  readonly normalizesNames?: true
  /** Returns the number of sockets or files that the backend currently holds for transfers. */
  readonly busy: () => number | Promise<number>
  /** Well-formed IDs of items that do not exist. */
  readonly missing: { readonly folder: string; readonly file: string }
  readonly exceptions?: Exceptions
}

/** A backend with access tokens, on a fake that validates them. */
export interface OpenedBackendWithTokens extends OpenedBackend {
  readonly fake: FakeCloud<never>
}

export interface OpenWithTokens {
  /** A token that the fake accepts. */
  readonly token: string
  readonly open: (t: Test, tokens: AccessTokens, egress: OpenEgress) => Promise<OpenedBackendWithTokens>
}

/** The harness of one provider. The backend's capabilities alone determine which tests run. */
export interface Harness {
  readonly name: string
  readonly open: (t: Test) => Promise<OpenedBackend>
  /** Present if and only if users grant access to the provider in the browser. */
  readonly tokenHarness?: OpenWithTokens
}

interface SeedableTree<Node> {
  readonly root: Node
  children(parent: Node): readonly Node[]
  addFolder(folder: { readonly name: string; readonly parent: Node }): Node
  addFile(file: { readonly name: string; readonly parent: Node; readonly content: string | Buffer }): unknown
}

interface ChangeableTree<Node> extends SeedableTree<Node> {
  write(node: Node, content: string): unknown
  rename(node: Node, name: string): void
  move(node: Node, folder: Node): void
  remove(node: Node): void
}

/** Returns a client that changes the tree of a fake. */
export function clientOfTree<Node extends { readonly name: string }>(
  tree: ChangeableTree<Node>,
  isFolder: (node: Node) => boolean,
  trash: (node: Node) => void,
  root: Node = tree.root
): Pick<OtherClient, 'create' | 'write' | 'rename' | 'move' | 'remove' | 'trash'> {
  const at = (path: string): Node => {
    let node = root
    for (const name of path === '' ? [] : path.split('/')) {
      const child = tree.children(node).find((child) => child.name === name)
      if (child === undefined) throw new Error(`${path} does not exist`)
      node = child
    }
    return node
  }
  return {
    create: seedTree(tree, isFolder, root),
    write: (path, content) => {
      tree.write(at(path), content)
    },
    rename: (path, name) => {
      tree.rename(at(path), name)
    },
    move: (path, folder) => {
      tree.move(at(path), at(folder))
    },
    remove: (path) => {
      tree.remove(at(path))
    },
    trash: (path) => {
      trash(at(path))
    }
  }
}

/** Returns the `seed` of a harness: it adds the files to the tree of a fake. */
export function seedTree<Node extends { readonly name: string }>(
  tree: SeedableTree<Node>,
  isFolder: (node: Node) => boolean,
  root: Node = tree.root
): OpenedBackend['seed'] {
  return async (files) => {
    for (const [path, content] of Object.entries(files)) {
      const names = path.split('/')
      const name = names.pop() ?? ''
      let parent = root
      for (const folder of names) {
        const found = tree.children(parent).find((node) => node.name === folder && isFolder(node))
        parent = found ?? tree.addFolder({ name: folder, parent })
      }
      if (name !== '') tree.addFile({ name, parent, content })
    }
  }
}
