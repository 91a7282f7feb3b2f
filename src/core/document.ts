/** A document of the host application, and the location of its content. */
export interface StoredDocument {
  readonly id: string
  /** The owner, the only user for which the document can be opened. */
  readonly userId: string
  /** The name of a managed store (`minio`) or the id of a provider (`s3`, `google_drive`). */
  readonly storageBackend: string
  /** The object's id at the backend: an S3 key, or a provider's file id. */
  readonly objectKey: string
  /** The owner's connection that stores the document. Default: the only one to that provider, or the default one. */
  readonly connectionId?: string | null
}

/** A user of the host application. */
export interface User {
  readonly id: string
}
