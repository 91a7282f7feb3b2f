/** A document of the host application, and where its bytes are. */
export interface StoredDocument {
  readonly id: string
  /** The owner. A document is opened for its owner alone. */
  readonly userId: string
  /** A managed store's name (`minio`), or a provider's id (`s3`, `google_drive`). */
  readonly storageBackend: string
  /** What the backend calls the object: an S3 key, a provider's file id. */
  readonly objectKey: string
  /** Which of the owner's connections holds it; left out: the only one for that provider, or the default. */
  readonly connectionId?: string | null
}

/** The host application's user. */
export interface User {
  readonly id: string
}
