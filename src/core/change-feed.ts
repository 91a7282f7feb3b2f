/**
 * What a provider reports about changes. A *feed* tells what has changed in a *scope*, such as a drive, since a
 * *position*. A *mark* is a validator of one folder. With either, a cached page can be confirmed without listing the
 * folder again.
 */

/** The scope that contains the root. Its position is taken before the first page of a connection is loaded. */
export const ROOT_SCOPE = ''

/** One item that has changed, moved, appeared or disappeared. Ids have the form of `Entry.id`. */
export interface Change {
  /** `null` if the provider reports only a path. Without a path either: something unknown in the scope has changed. */
  readonly id: string | null
  /** In the form of `Entry.path`; `null` if the provider does not report it. */
  readonly path: string | null
  /** The folder that contains the item now; `null` if the provider does not report it. */
  readonly parentId: string | null
  readonly isFolder: boolean | null
  /** It was deleted or moved to the trash, or the user has lost access to it. */
  readonly isGone: boolean
  /** `roots`: a drive or a membership of the user has appeared, changed or disappeared. */
  readonly concerns: 'item' | 'roots'
}

/**
 * One page of a feed. `hasMore`: request the next one with `position`. `lost`: the position is unknown to the provider
 * or has expired; what has changed since then cannot be known.
 */
export type FeedPage =
  { readonly position: string; readonly changes: readonly Change[]; readonly hasMore: boolean } | 'lost'

/**
 * How a page can be confirmed: by the feed of a scope, by the mark of its folder, or by both. With both, the mark
 * confirms the page after a change of the scope that names no item.
 */
export type PageFreshness =
  | {
      readonly scope: string
      readonly mark?: string
      /**
       * The folder is the top of its scope, such as the root of a drive: it is in no other folder, so no folder that
       * moves or is deleted takes it along. Pages below a top stay cached when this happens elsewhere. The feed must be
       * `lost` if the user loses access to the top itself. Default: only the root, listed as `null`, is one.
       */
      readonly isTop?: boolean
    }
  | { readonly scope?: never; readonly mark: string }
