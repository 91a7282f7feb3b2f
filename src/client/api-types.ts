// Made by `npm run openapi` of openapi.json.
export interface paths {
    "/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The picker and the documents, to look at */
        get: operations["openPage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        /** The picker and the documents, to look at */
        head: operations["openPage-head"];
        patch?: never;
        trace?: never;
    };
    "/docs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This description, to read */
        get: operations["readApi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/cloud/connections/{provider}/callback": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Come back from the provider
         * @description Where the provider sends the browser back to. It asks for the cookie of the flow and for no user.
         */
        get: operations["finishAuthorization"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        /** Nothing happens but by GET */
        head: operations["refuseAuthorization-head"];
        patch?: never;
        trace?: never;
    };
    "/cloud/{provider}/listing": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List a folder
         * @description One page of a folder, from the cache where it is fresh. A folder that is gone is 404, never an empty page.
         */
        get: operations["listFolder"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        /**
         * List a folder
         * @description One page of a folder, from the cache where it is fresh. A folder that is gone is 404, never an empty page.
         */
        head: operations["listFolder-head"];
        patch?: never;
        trace?: never;
    };
    "/cloud/providers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the providers
         * @description The kinds of clouds that are enabled, how each is connected and what it can do.
         */
        get: operations["listProviders"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        /**
         * List the providers
         * @description The kinds of clouds that are enabled, how each is connected and what it can do.
         */
        head: operations["listProviders-head"];
        patch?: never;
        trace?: never;
    };
    "/cloud/connections": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the connections
         * @description The connections of the user who asks.
         */
        get: operations["listConnections"];
        put?: never;
        post?: never;
        /**
         * Disconnect all
         * @description For a user who leaves.
         */
        delete: operations["disconnectAll"];
        options?: never;
        /**
         * List the connections
         * @description The connections of the user who asks.
         */
        head: operations["listConnections-head"];
        patch?: never;
        trace?: never;
    };
    "/cloud/connections/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Connect with credentials
         * @description Tries the credentials at the service, seals them and stores the connection. The same account again renews its connection.
         */
        post: operations["connect"];
        /**
         * Disconnect
         * @description Deletes the connection, and ends its access at the provider as well as can be.
         */
        delete: operations["disconnect"];
        options?: never;
        head?: never;
        /**
         * Change a connection
         * @description Its label, or whether it is the default of its provider: there is one of those at most.
         */
        patch: operations["changeConnection"];
        trace?: never;
    };
    "/cloud/connections/{id}/verify": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Verify a connection
         * @description Asks the provider who this is. A connection with an error that works again is active after it.
         */
        post: operations["verifyConnection"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/cloud/connections/{provider}/authorize": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Begin to connect in the browser
         * @description With OAuth: where to send the browser, and a cookie that it keeps meanwhile. With a login at the user’s own server: the same, and a flow to poll.
         */
        post: operations["authorize"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/cloud/connections/{provider}/authorize/{flowId}/poll": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Ask whether the user has logged in
         * @description A flow lasts ten minutes.
         */
        post: operations["pollLogin"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/cloud/{provider}/content": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Download a file
         * @description Always something to save, never something to show. A document of the provider’s own is made into one of its export formats.
         */
        get: operations["download"];
        /**
         * Upload a file
         * @description A `name` in a `parent`, or the `id` of a file to replace. The body is the content, of any type, and streams to the provider as it comes.
         */
        put: operations["upload"];
        post?: never;
        /**
         * Remove a file
         * @description One that is gone already is no error.
         */
        delete: operations["removeContent"];
        options?: never;
        /**
         * Download a file
         * @description Always something to save, never something to show. A document of the provider’s own is made into one of its export formats.
         */
        head: operations["download-head"];
        patch?: never;
        trace?: never;
    };
    "/cloud/{provider}/folders": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Make a folder */
        post: operations["createFolder"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * This description
         * @description OpenAPI 3.1, of what is enabled here.
         */
        get: operations["describeApi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        /**
         * This description
         * @description OpenAPI 3.1, of what is enabled here.
         */
        head: operations["describeApi-head"];
        patch?: never;
        trace?: never;
    };
    "/health/live": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether the process answers */
        get: operations["isLive"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        /** Whether the process answers */
        head: operations["isLive-head"];
        patch?: never;
        trace?: never;
    };
    "/health/ready": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether it can serve */
        get: operations["isReady"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        /** Whether it can serve */
        head: operations["isReady-head"];
        patch?: never;
        trace?: never;
    };
    "/documents": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the documents */
        get: operations["listDocuments"];
        put?: never;
        /** Make a document */
        post: operations["createDocument"];
        delete?: never;
        options?: never;
        /** List the documents */
        head: operations["listDocuments-head"];
        patch?: never;
        trace?: never;
    };
    "/documents/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Look at a document */
        get: operations["getDocument"];
        put?: never;
        post?: never;
        /** Remove a document */
        delete: operations["removeDocument"];
        options?: never;
        /** Look at a document */
        head: operations["getDocument-head"];
        patch?: never;
        trace?: never;
    };
    "/documents/{id}/content": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Download a document */
        get: operations["downloadDocument"];
        /** Upload the content of a document */
        put: operations["uploadDocument"];
        post?: never;
        delete?: never;
        options?: never;
        /** Download a document */
        head: operations["downloadDocument-head"];
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * @description One item of a folder. `null` means unknown, never "none".
         * @example {
         *       "id": "Invoices/2026.pdf",
         *       "parentId": "Invoices/",
         *       "driveId": null,
         *       "name": "2026.pdf",
         *       "kind": "file",
         *       "mimeType": "application/pdf",
         *       "size": 48213,
         *       "createdAt": null,
         *       "modifiedAt": "2026-11-02T08:30:00.000Z",
         *       "version": "9b2cf535f27731c974343645a3985328",
         *       "hash": null,
         *       "exportFormats": [],
         *       "target": null,
         *       "webUrl": null,
         *       "thumbnailUrl": null,
         *       "path": "Invoices/2026.pdf",
         *       "can": {
         *         "list": false,
         *         "download": true,
         *         "write": null
         *       }
         *     }
         */
        Entry: {
            /** @description The provider’s own, opaque: what `folder` and `id` take. */
            id: string;
            parentId: string | null;
            driveId: string | null;
            /** @description As the provider has it: text, never markup or a path. */
            name: string;
            /** @enum {string} */
            kind: "file" | "folder" | "drive" | "package" | "link" | "shortcut";
            mimeType: string | null;
            /** @description In bytes. */
            size: number | null;
            /** Format: date-time */
            createdAt: string | null;
            /** Format: date-time */
            modifiedAt: string | null;
            /** @description Changes with the content: what `If-Match` takes, in quotes. */
            version: string | null;
            /** @description The provider’s digest of the content, in its own notation. */
            hash: components["schemas"]["ContentHash"] | null;
            exportFormats: components["schemas"]["ExportFormat"][];
            /** @description Where a shortcut leads. */
            target: components["schemas"]["ShortcutTarget"] | null;
            /** @description Where the provider shows it. */
            webUrl: string | null;
            thumbnailUrl: string | null;
            path: string | null;
            /** @description What the user may do with it. */
            can: {
                list: boolean | null;
                download: boolean | null;
                write: boolean | null;
            };
        };
        ContentHash: {
            algorithm: string;
            value: string;
        };
        ExportFormat: {
            /** @description What `exportAs` takes. */
            mimeType: string;
            extension: string;
        };
        ShortcutTarget: {
            id: string | null;
            /** @enum {string|null} */
            kind: "file" | "folder" | "drive" | "package" | "link" | "shortcut" | null;
            mimeType: string | null;
            /** @enum {string} */
            state: "ok" | "dangling" | "denied" | "unknown";
        };
        /** @description The listed folder itself, as far as its listing tells. */
        FolderInfo: {
            id: string | null;
            name: string | null;
            parentId: string | null;
        };
        /** @description Where the page stands in its folder. */
        Page: {
            /** @description What `cursor` takes for the next page. */
            next: string | null;
            /** @description True only where the provider said that nothing is missing. */
            complete: boolean;
            /**
             * @description Why it is not complete.
             * @enum {string|null}
             */
            reason: "more" | "provider-partial" | "page-cap" | "duplicate-cursor" | null;
            /** @enum {string} */
            order: "folder-then-name" | "provider";
        };
        /**
         * @description One page of a folder.
         * @example {
         *       "provider": "s3",
         *       "connectionId": "cab5aca4-1388-4e3c-8342-996064162c42",
         *       "folder": {
         *         "id": "Invoices/",
         *         "name": "Invoices",
         *         "parentId": null
         *       },
         *       "entries": [
         *         {
         *           "id": "Invoices/2027/",
         *           "parentId": "Invoices/",
         *           "driveId": null,
         *           "name": "2027",
         *           "kind": "folder",
         *           "mimeType": null,
         *           "size": null,
         *           "createdAt": null,
         *           "modifiedAt": null,
         *           "version": null,
         *           "hash": null,
         *           "exportFormats": [],
         *           "target": null,
         *           "webUrl": null,
         *           "thumbnailUrl": null,
         *           "path": "Invoices/2027/",
         *           "can": {
         *             "list": true,
         *             "download": false,
         *             "write": null
         *           }
         *         },
         *         {
         *           "id": "Invoices/2026.pdf",
         *           "parentId": "Invoices/",
         *           "driveId": null,
         *           "name": "2026.pdf",
         *           "kind": "file",
         *           "mimeType": "application/pdf",
         *           "size": 48213,
         *           "createdAt": null,
         *           "modifiedAt": "2026-11-02T08:30:00.000Z",
         *           "version": "9b2cf535f27731c974343645a3985328",
         *           "hash": null,
         *           "exportFormats": [],
         *           "target": null,
         *           "webUrl": null,
         *           "thumbnailUrl": null,
         *           "path": "Invoices/2026.pdf",
         *           "can": {
         *             "list": false,
         *             "download": true,
         *             "write": null
         *           }
         *         }
         *       ],
         *       "page": {
         *         "next": null,
         *         "complete": true,
         *         "reason": null,
         *         "order": "folder-then-name"
         *       }
         *     }
         */
        Listing: {
            provider: string;
            connectionId: string;
            folder: components["schemas"]["FolderInfo"];
            entries: components["schemas"]["Entry"][];
            page: components["schemas"]["Page"];
        };
        /**
         * @description A user’s link to a cloud. Never a secret.
         * @example {
         *       "id": "cab5aca4-1388-4e3c-8342-996064162c42",
         *       "provider": "s3",
         *       "label": "Archive",
         *       "account": "https://s3.example.org/archive#AKIAIOSFODNN7EXAMPLE",
         *       "status": "ACTIVE",
         *       "default": true,
         *       "createdAt": "2026-11-02T08:30:00.000Z",
         *       "lastError": null
         *     }
         */
        Connection: {
            id: string;
            provider: string;
            /** @description The user’s own name for it. */
            label: string;
            /** @description Which account it is at the provider. */
            account: string;
            /** @enum {string} */
            status: "ACTIVE" | "REQUIRES_REAUTH" | "ERROR" | "DISABLED";
            /** @description Meant where a request names none. */
            default: boolean;
            /** Format: date-time */
            createdAt: string;
            /** @description The code of its last failure. */
            lastError: string | null;
        };
        /**
         * @example {
         *       "connections": [
         *         {
         *           "id": "cab5aca4-1388-4e3c-8342-996064162c42",
         *           "provider": "s3",
         *           "label": "Archive",
         *           "account": "https://s3.example.org/archive#AKIAIOSFODNN7EXAMPLE",
         *           "status": "ACTIVE",
         *           "default": true,
         *           "createdAt": "2026-11-02T08:30:00.000Z",
         *           "lastError": null
         *         }
         *       ]
         *     }
         */
        Connections: {
            connections: components["schemas"]["Connection"][];
        };
        /** @description What a provider can do: itself, by means of something else, or not at all. */
        Capabilities: {
            /**
             * @description Gives a folder in pages.
             * @enum {string}
             */
            paging: "native" | "emulated" | "unsupported";
            /**
             * @description Can be asked for folders or files alone.
             * @enum {string}
             */
            kindFilter: "native" | "emulated" | "unsupported";
            /**
             * @description Gives parts of a content.
             * @enum {string}
             */
            rangeDownload: "native" | "emulated" | "unsupported";
            /**
             * @description Takes content.
             * @enum {string}
             */
            upload: "native" | "emulated" | "unsupported";
            /**
             * @description Takes content under `If-None-Match: *`.
             * @enum {string}
             */
            createOnly: "native" | "emulated" | "unsupported";
            /**
             * @description Takes content under `If-Match`.
             * @enum {string}
             */
            updateIfMatch: "native" | "emulated" | "unsupported";
            /**
             * @description Replaces a file in one step: an interrupted upload leaves the old content.
             * @enum {string}
             */
            atomicReplace: "native" | "emulated" | "unsupported";
            /**
             * @description Removes files.
             * @enum {string}
             */
            remove: "native" | "emulated" | "unsupported";
            /**
             * @description Makes folders.
             * @enum {string}
             */
            createFolder: "native" | "emulated" | "unsupported";
            /**
             * @description Gives links that need no credentials.
             * @enum {string}
             */
            downloadUrl: "native" | "emulated" | "unsupported";
        };
        /** @description JSON Schema (draft 7) of one field. A secret is `writeOnly`. */
        FormField: {
            type?: string;
            title?: string;
            description?: string;
            default?: unknown;
            enum?: unknown[];
            minLength?: number;
            maxLength?: number;
            minimum?: number;
            maximum?: number;
            pattern?: string;
            writeOnly?: boolean;
        } & {
            [key: string]: unknown;
        };
        /** @description JSON Schema (draft 7) of the fields to type. */
        Form: {
            /** @constant */
            type: "object";
            properties: {
                [key: string]: components["schemas"]["FormField"];
            };
            required?: string[];
            additionalProperties?: boolean;
        };
        /** @description A kind of cloud that is enabled here. */
        Provider: {
            id: string;
            /** @description The service’s own name, for people. */
            label: string;
            /** @description How it is connected: in the browser, or by a form. */
            connect: {
                /** @constant */
                type: "oauth2";
            } | {
                /** @enum {string} */
                type: "credentials" | "login-flow";
                schema: components["schemas"]["Form"];
            };
            capabilities: components["schemas"]["Capabilities"];
        };
        /**
         * @example {
         *       "providers": [
         *         {
         *           "id": "webdav",
         *           "label": "WebDAV",
         *           "connect": {
         *             "type": "credentials",
         *             "schema": {
         *               "type": "object",
         *               "additionalProperties": false,
         *               "required": [
         *                 "baseUrl"
         *               ],
         *               "properties": {
         *                 "baseUrl": {
         *                   "type": "string",
         *                   "title": "Address",
         *                   "minLength": 1,
         *                   "maxLength": 1024
         *                 },
         *                 "username": {
         *                   "type": "string",
         *                   "title": "User name"
         *                 },
         *                 "password": {
         *                   "type": "string",
         *                   "title": "Password",
         *                   "writeOnly": true
         *                 }
         *               }
         *             }
         *           },
         *           "capabilities": {
         *             "paging": "emulated",
         *             "kindFilter": "emulated",
         *             "rangeDownload": "native",
         *             "upload": "native",
         *             "createOnly": "native",
         *             "updateIfMatch": "native",
         *             "atomicReplace": "unsupported",
         *             "remove": "native",
         *             "createFolder": "native",
         *             "downloadUrl": "unsupported"
         *           }
         *         }
         *       ]
         *     }
         */
        Providers: {
            providers: components["schemas"]["Provider"][];
        };
        /** @description RFC 9457. Act on `code`: it is stable, the words are not. An error of the application’s own hooks keeps its own status and code. */
        Problem: {
            /** @description `urn:fastify-cloud-storage:error:CODE` */
            type: string;
            title: string;
            status: number;
            /** @description For people. It never holds a secret. */
            detail?: string;
            /** @enum {string} */
            code: "INVALID_REQUEST" | "INVALID_CURSOR" | "INVALID_STATE" | "INVALID_CREDENTIALS" | "INVALID_ADDRESS" | "CONNECTION_AMBIGUOUS" | "UNAUTHENTICATED" | "ACCESS_DENIED" | "ACCOUNT_DISABLED" | "INSUFFICIENT_SCOPE" | "ENDPOINT_FORBIDDEN" | "CROSS_SITE" | "PROVIDER_UNKNOWN" | "FOLDER_NOT_FOUND" | "OBJECT_NOT_FOUND" | "CONNECTION_NOT_FOUND" | "DOCUMENT_NOT_FOUND" | "ALREADY_EXISTS" | "PRECONDITION_FAILED" | "CURSOR_EXPIRED" | "PAYLOAD_TOO_LARGE" | "UNSUPPORTED_MEDIA_TYPE" | "RANGE_NOT_SATISFIABLE" | "LOCKED" | "TOO_MANY_REQUESTS" | "INTERNAL" | "SDK_MISSING" | "UNSUPPORTED" | "PROVIDER_ERROR" | "SCHEME_MISMATCH" | "AUTHENTICATION_UNAVAILABLE" | "CONNECTION_MISSING" | "CONNECTION_INACTIVE" | "CREDENTIALS_UNREADABLE" | "PROVIDER_UNAVAILABLE" | "PROVIDER_THROTTLED" | "DATABASE_UNAVAILABLE" | "SHUTTING_DOWN" | "PROVIDER_TIMEOUT" | "QUOTA_EXCEEDED" | "INSUFFICIENT_STORAGE";
            /** @description Under which the server’s log has the rest. */
            requestId: string;
        };
        /**
         * @description A problem with the status 400.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:INVALID_REQUEST",
         *       "title": "Invalid request",
         *       "status": 400,
         *       "detail": "Invalid request.",
         *       "code": "INVALID_REQUEST",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:INVALID_CURSOR",
         *       "title": "Invalid cursor",
         *       "status": 400,
         *       "detail": "Invalid cursor.",
         *       "code": "INVALID_CURSOR",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:INVALID_STATE",
         *       "title": "Invalid state",
         *       "status": 400,
         *       "detail": "Invalid state.",
         *       "code": "INVALID_STATE",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:INVALID_CREDENTIALS",
         *       "title": "Invalid credentials",
         *       "status": 400,
         *       "detail": "Invalid credentials.",
         *       "code": "INVALID_CREDENTIALS",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:INVALID_ADDRESS",
         *       "title": "Invalid address",
         *       "status": 400,
         *       "detail": "Invalid address.",
         *       "code": "INVALID_ADDRESS",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:CONNECTION_AMBIGUOUS",
         *       "title": "Connection ambiguous",
         *       "status": 400,
         *       "detail": "Connection ambiguous.",
         *       "code": "CONNECTION_AMBIGUOUS",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem400: components["schemas"]["Problem"] & {
            /** @constant */
            status: 400;
            /** @enum {string} */
            code: "INVALID_REQUEST" | "INVALID_CURSOR" | "INVALID_STATE" | "INVALID_CREDENTIALS" | "INVALID_ADDRESS" | "CONNECTION_AMBIGUOUS";
        };
        /**
         * @description A problem with the status 401.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:UNAUTHENTICATED",
         *       "title": "Unauthenticated",
         *       "status": 401,
         *       "detail": "Unauthenticated.",
         *       "code": "UNAUTHENTICATED",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem401: components["schemas"]["Problem"] & {
            /** @constant */
            status: 401;
            /** @enum {string} */
            code: "UNAUTHENTICATED";
        };
        /**
         * @description A problem with the status 403.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:ACCESS_DENIED",
         *       "title": "Access denied",
         *       "status": 403,
         *       "detail": "Access denied.",
         *       "code": "ACCESS_DENIED",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:ACCOUNT_DISABLED",
         *       "title": "Account disabled",
         *       "status": 403,
         *       "detail": "Account disabled.",
         *       "code": "ACCOUNT_DISABLED",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:INSUFFICIENT_SCOPE",
         *       "title": "Insufficient scope",
         *       "status": 403,
         *       "detail": "Insufficient scope.",
         *       "code": "INSUFFICIENT_SCOPE",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:ENDPOINT_FORBIDDEN",
         *       "title": "Endpoint forbidden",
         *       "status": 403,
         *       "detail": "Endpoint forbidden.",
         *       "code": "ENDPOINT_FORBIDDEN",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:CROSS_SITE",
         *       "title": "Cross site",
         *       "status": 403,
         *       "detail": "Cross site.",
         *       "code": "CROSS_SITE",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem403: components["schemas"]["Problem"] & {
            /** @constant */
            status: 403;
            /** @enum {string} */
            code: "ACCESS_DENIED" | "ACCOUNT_DISABLED" | "INSUFFICIENT_SCOPE" | "ENDPOINT_FORBIDDEN" | "CROSS_SITE";
        };
        /**
         * @description A problem with the status 404.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:PROVIDER_UNKNOWN",
         *       "title": "Provider unknown",
         *       "status": 404,
         *       "detail": "Provider unknown.",
         *       "code": "PROVIDER_UNKNOWN",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:FOLDER_NOT_FOUND",
         *       "title": "Folder not found",
         *       "status": 404,
         *       "detail": "Folder not found.",
         *       "code": "FOLDER_NOT_FOUND",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:OBJECT_NOT_FOUND",
         *       "title": "Object not found",
         *       "status": 404,
         *       "detail": "Object not found.",
         *       "code": "OBJECT_NOT_FOUND",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:CONNECTION_NOT_FOUND",
         *       "title": "Connection not found",
         *       "status": 404,
         *       "detail": "Connection not found.",
         *       "code": "CONNECTION_NOT_FOUND",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:DOCUMENT_NOT_FOUND",
         *       "title": "Document not found",
         *       "status": 404,
         *       "detail": "Document not found.",
         *       "code": "DOCUMENT_NOT_FOUND",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem404: components["schemas"]["Problem"] & {
            /** @constant */
            status: 404;
            /** @enum {string} */
            code: "PROVIDER_UNKNOWN" | "FOLDER_NOT_FOUND" | "OBJECT_NOT_FOUND" | "CONNECTION_NOT_FOUND" | "DOCUMENT_NOT_FOUND";
        };
        /**
         * @description A problem with the status 409.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:ALREADY_EXISTS",
         *       "title": "Already exists",
         *       "status": 409,
         *       "detail": "Already exists.",
         *       "code": "ALREADY_EXISTS",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem409: components["schemas"]["Problem"] & {
            /** @constant */
            status: 409;
            /** @enum {string} */
            code: "ALREADY_EXISTS";
        };
        /**
         * @description A problem with the status 410.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:CURSOR_EXPIRED",
         *       "title": "Cursor expired",
         *       "status": 410,
         *       "detail": "Cursor expired.",
         *       "code": "CURSOR_EXPIRED",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem410: components["schemas"]["Problem"] & {
            /** @constant */
            status: 410;
            /** @enum {string} */
            code: "CURSOR_EXPIRED";
        };
        /**
         * @description A problem with the status 412.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:PRECONDITION_FAILED",
         *       "title": "Precondition failed",
         *       "status": 412,
         *       "detail": "Precondition failed.",
         *       "code": "PRECONDITION_FAILED",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem412: components["schemas"]["Problem"] & {
            /** @constant */
            status: 412;
            /** @enum {string} */
            code: "PRECONDITION_FAILED";
        };
        /**
         * @description A problem with the status 413.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:PAYLOAD_TOO_LARGE",
         *       "title": "Payload too large",
         *       "status": 413,
         *       "detail": "Payload too large.",
         *       "code": "PAYLOAD_TOO_LARGE",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem413: components["schemas"]["Problem"] & {
            /** @constant */
            status: 413;
            /** @enum {string} */
            code: "PAYLOAD_TOO_LARGE";
        };
        /**
         * @description A problem with the status 415.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:UNSUPPORTED_MEDIA_TYPE",
         *       "title": "Unsupported media type",
         *       "status": 415,
         *       "detail": "Unsupported media type.",
         *       "code": "UNSUPPORTED_MEDIA_TYPE",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem415: components["schemas"]["Problem"] & {
            /** @constant */
            status: 415;
            /** @enum {string} */
            code: "UNSUPPORTED_MEDIA_TYPE";
        };
        /**
         * @description A problem with the status 416.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:RANGE_NOT_SATISFIABLE",
         *       "title": "Range not satisfiable",
         *       "status": 416,
         *       "detail": "Range not satisfiable.",
         *       "code": "RANGE_NOT_SATISFIABLE",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem416: components["schemas"]["Problem"] & {
            /** @constant */
            status: 416;
            /** @enum {string} */
            code: "RANGE_NOT_SATISFIABLE";
        };
        /**
         * @description A problem with the status 423.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:LOCKED",
         *       "title": "Locked",
         *       "status": 423,
         *       "detail": "Locked.",
         *       "code": "LOCKED",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem423: components["schemas"]["Problem"] & {
            /** @constant */
            status: 423;
            /** @enum {string} */
            code: "LOCKED";
        };
        /**
         * @description A problem with the status 429.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:TOO_MANY_REQUESTS",
         *       "title": "Too many requests",
         *       "status": 429,
         *       "detail": "Too many requests.",
         *       "code": "TOO_MANY_REQUESTS",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem429: components["schemas"]["Problem"] & {
            /** @constant */
            status: 429;
            /** @enum {string} */
            code: "TOO_MANY_REQUESTS";
        };
        /**
         * @description A problem with the status 500.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:INTERNAL",
         *       "title": "Internal",
         *       "status": 500,
         *       "detail": "Internal.",
         *       "code": "INTERNAL",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:SDK_MISSING",
         *       "title": "Sdk missing",
         *       "status": 500,
         *       "detail": "Sdk missing.",
         *       "code": "SDK_MISSING",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem500: components["schemas"]["Problem"] & {
            /** @constant */
            status: 500;
            /** @enum {string} */
            code: "INTERNAL" | "SDK_MISSING";
        };
        /**
         * @description A problem with the status 501.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:UNSUPPORTED",
         *       "title": "Unsupported",
         *       "status": 501,
         *       "detail": "Unsupported.",
         *       "code": "UNSUPPORTED",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem501: components["schemas"]["Problem"] & {
            /** @constant */
            status: 501;
            /** @enum {string} */
            code: "UNSUPPORTED";
        };
        /**
         * @description A problem with the status 502.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:PROVIDER_ERROR",
         *       "title": "Provider error",
         *       "status": 502,
         *       "detail": "Provider error.",
         *       "code": "PROVIDER_ERROR",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:SCHEME_MISMATCH",
         *       "title": "Scheme mismatch",
         *       "status": 502,
         *       "detail": "Scheme mismatch.",
         *       "code": "SCHEME_MISMATCH",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem502: components["schemas"]["Problem"] & {
            /** @constant */
            status: 502;
            /** @enum {string} */
            code: "PROVIDER_ERROR" | "SCHEME_MISMATCH";
        };
        /**
         * @description A problem with the status 503.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:AUTHENTICATION_UNAVAILABLE",
         *       "title": "Authentication unavailable",
         *       "status": 503,
         *       "detail": "Authentication unavailable.",
         *       "code": "AUTHENTICATION_UNAVAILABLE",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:CONNECTION_MISSING",
         *       "title": "Connection missing",
         *       "status": 503,
         *       "detail": "Connection missing.",
         *       "code": "CONNECTION_MISSING",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:CONNECTION_INACTIVE",
         *       "title": "Connection inactive",
         *       "status": 503,
         *       "detail": "Connection inactive.",
         *       "code": "CONNECTION_INACTIVE",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:CREDENTIALS_UNREADABLE",
         *       "title": "Credentials unreadable",
         *       "status": 503,
         *       "detail": "Credentials unreadable.",
         *       "code": "CREDENTIALS_UNREADABLE",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:PROVIDER_UNAVAILABLE",
         *       "title": "Provider unavailable",
         *       "status": 503,
         *       "detail": "Provider unavailable.",
         *       "code": "PROVIDER_UNAVAILABLE",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:PROVIDER_THROTTLED",
         *       "title": "Provider throttled",
         *       "status": 503,
         *       "detail": "Provider throttled.",
         *       "code": "PROVIDER_THROTTLED",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:DATABASE_UNAVAILABLE",
         *       "title": "Database unavailable",
         *       "status": 503,
         *       "detail": "Database unavailable.",
         *       "code": "DATABASE_UNAVAILABLE",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:SHUTTING_DOWN",
         *       "title": "Shutting down",
         *       "status": 503,
         *       "detail": "Shutting down.",
         *       "code": "SHUTTING_DOWN",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem503: components["schemas"]["Problem"] & {
            /** @constant */
            status: 503;
            /** @enum {string} */
            code: "AUTHENTICATION_UNAVAILABLE" | "CONNECTION_MISSING" | "CONNECTION_INACTIVE" | "CREDENTIALS_UNREADABLE" | "PROVIDER_UNAVAILABLE" | "PROVIDER_THROTTLED" | "DATABASE_UNAVAILABLE" | "SHUTTING_DOWN";
        };
        /**
         * @description A problem with the status 504.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:PROVIDER_TIMEOUT",
         *       "title": "Provider timeout",
         *       "status": 504,
         *       "detail": "Provider timeout.",
         *       "code": "PROVIDER_TIMEOUT",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem504: components["schemas"]["Problem"] & {
            /** @constant */
            status: 504;
            /** @enum {string} */
            code: "PROVIDER_TIMEOUT";
        };
        /**
         * @description A problem with the status 507.
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:QUOTA_EXCEEDED",
         *       "title": "Quota exceeded",
         *       "status": 507,
         *       "detail": "Quota exceeded.",
         *       "code": "QUOTA_EXCEEDED",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         * @example {
         *       "type": "urn:fastify-cloud-storage:error:INSUFFICIENT_STORAGE",
         *       "title": "Insufficient storage",
         *       "status": 507,
         *       "detail": "Insufficient storage.",
         *       "code": "INSUFFICIENT_STORAGE",
         *       "requestId": "6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10"
         *     }
         */
        Problem507: components["schemas"]["Problem"] & {
            /** @constant */
            status: 507;
            /** @enum {string} */
            code: "QUOTA_EXCEEDED" | "INSUFFICIENT_STORAGE";
        };
        S3Credentials: {
            /** @description The user’s own name for the connection. */
            label?: string;
            /**
             * Endpoint
             * @description https://host or https://host:port
             */
            endpoint: string;
            /**
             * Region
             * @default us-east-1
             */
            region: string;
            /** Bucket */
            bucket: string;
            /**
             * Folder
             * @description Everything happens below this key prefix
             * @default
             */
            prefix: string;
            /** Access key */
            accessKeyId: string;
            /** Secret key */
            secretAccessKey: string;
            /**
             * Path style
             * @description https://host/bucket instead of https://bucket.host
             * @default true
             */
            forcePathStyle: boolean;
        };
        WebdavCredentials: {
            /** @description The user’s own name for the connection. */
            label?: string;
            /**
             * Address
             * @description The folder to connect, https://host/path
             */
            baseUrl: string;
            /** User name */
            username?: string;
            /** Password */
            password?: string;
            /**
             * Token
             * @description Instead of a user name and a password
             */
            token?: string;
        };
        NextcloudCredentials: {
            /** @description The user’s own name for the connection. */
            label?: string;
            /**
             * Address
             * @description The Nextcloud server, https://host or https://host/path
             */
            baseUrl: string;
            /** User name */
            username: string;
            /**
             * App password
             * @description Made in the settings of Nextcloud, under "Security"
             */
            password: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    openPage: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page. */
            200: {
                headers: {
                    /** @description `no-referrer` */
                    "Referrer-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description It runs what this server sends, and nothing else. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description Nothing of the machine is needed. */
                    "Permissions-Policy"?: string;
                    /** @description `DENY` */
                    "X-Frame-Options"?: string;
                    /** @description `no-cache` */
                    "Cache-Control"?: string;
                    /** @description `same-origin-allow-popups` */
                    "Cross-Origin-Opener-Policy"?: string;
                    /** @description Of the content. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "text/html": string;
                };
            };
            /** @description The client has it already. */
            304: {
                headers: {
                    /** @description `no-referrer` */
                    "Referrer-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description It runs what this server sends, and nothing else. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description Nothing of the machine is needed. */
                    "Permissions-Policy"?: string;
                    /** @description `DENY` */
                    "X-Frame-Options"?: string;
                    /** @description `no-cache` */
                    "Cache-Control"?: string;
                    /** @description `same-origin-allow-popups` */
                    "Cross-Origin-Opener-Policy"?: string;
                    /** @description Of the content. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `PRECONDITION_FAILED` */
            412: {
                headers: {
                    /** @description `no-referrer` */
                    "Referrer-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description It runs what this server sends, and nothing else. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description Nothing of the machine is needed. */
                    "Permissions-Policy"?: string;
                    /** @description `DENY` */
                    "X-Frame-Options"?: string;
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    /** @description `same-origin-allow-popups` */
                    "Cross-Origin-Opener-Policy"?: string;
                    /** @description Of the content. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem412"];
                };
            };
            /** @description The page has not been built. All else works without it. */
            503: {
                headers: {
                    /** @description `no-referrer` */
                    "Referrer-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description It runs what this server sends, and nothing else. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description Nothing of the machine is needed. */
                    "Permissions-Policy"?: string;
                    /** @description `DENY` */
                    "X-Frame-Options"?: string;
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
        };
    };
    "openPage-head": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page. */
            200: {
                headers: {
                    /** @description `no-referrer` */
                    "Referrer-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description It runs what this server sends, and nothing else. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description Nothing of the machine is needed. */
                    "Permissions-Policy"?: string;
                    /** @description `DENY` */
                    "X-Frame-Options"?: string;
                    /** @description `no-cache` */
                    "Cache-Control"?: string;
                    /** @description `same-origin-allow-popups` */
                    "Cross-Origin-Opener-Policy"?: string;
                    /** @description Of the content. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The client has it already. */
            304: {
                headers: {
                    /** @description `no-referrer` */
                    "Referrer-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description It runs what this server sends, and nothing else. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description Nothing of the machine is needed. */
                    "Permissions-Policy"?: string;
                    /** @description `DENY` */
                    "X-Frame-Options"?: string;
                    /** @description `no-cache` */
                    "Cache-Control"?: string;
                    /** @description `same-origin-allow-popups` */
                    "Cross-Origin-Opener-Policy"?: string;
                    /** @description Of the content. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `PRECONDITION_FAILED` */
            412: {
                headers: {
                    /** @description `no-referrer` */
                    "Referrer-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description It runs what this server sends, and nothing else. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description Nothing of the machine is needed. */
                    "Permissions-Policy"?: string;
                    /** @description `DENY` */
                    "X-Frame-Options"?: string;
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    /** @description `same-origin-allow-popups` */
                    "Cross-Origin-Opener-Policy"?: string;
                    /** @description Of the content. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The page has not been built. All else works without it. */
            503: {
                headers: {
                    /** @description `no-referrer` */
                    "Referrer-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description It runs what this server sends, and nothing else. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description Nothing of the machine is needed. */
                    "Permissions-Policy"?: string;
                    /** @description `DENY` */
                    "X-Frame-Options"?: string;
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    readApi: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page. */
            200: {
                headers: {
                    /** @description `no-referrer` */
                    "Referrer-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description It runs what this server sends, and nothing else. */
                    "Content-Security-Policy"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "text/html": string;
                };
            };
        };
    };
    finishAuthorization: {
        parameters: {
            query?: {
                /** @description Of the flow. It works once. */
                state?: string;
                /** @description What the provider grants. */
                code?: string;
                /** @description Why it does not. */
                error?: string;
                /** @description RFC 9207. */
                iss?: string;
            };
            header?: never;
            path: {
                /**
                 * @description The id of a provider.
                 * @example s3
                 */
                provider: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Back to the application, with `error` in the query after a refusal. */
            303: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    /** @description Inside of the application. */
                    Location?: string;
                    "Referrer-Policy"?: "no-referrer";
                    /** @description Takes the cookie of the flow away. */
                    "Set-Cookie"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INVALID_STATE` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    "Referrer-Policy"?: "no-referrer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `PROVIDER_UNKNOWN` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    "Referrer-Policy"?: "no-referrer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    "Referrer-Policy"?: "no-referrer";
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem429"];
                };
            };
            /** @description `INTERNAL` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    "Referrer-Policy"?: "no-referrer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `AUTHENTICATION_UNAVAILABLE` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    "Referrer-Policy"?: "no-referrer";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
        };
    };
    "refuseAuthorization-head": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description The id of a provider.
                 * @example s3
                 */
                provider: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Not by HEAD. */
            405: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    "Referrer-Policy"?: "no-referrer";
                    Allow?: "GET";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INTERNAL` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    "Referrer-Policy"?: "no-referrer";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    "Referrer-Policy"?: "no-referrer";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    listFolder: {
        parameters: {
            query?: {
                /** @description The `id` of an entry. Left out: the root. */
                folder?: string;
                /** @description The id of one of the user’s connections. Left out: the only one, or the default. */
                connection?: string;
                /** @description `page.next` of the page before, with the same folder, limit and kind. */
                cursor?: string;
                /** @description Entries of a page, at most. */
                limit?: number;
                /** @description Only those. */
                kind?: "folder" | "file";
                /** @description Drops what is kept of the folder and loads it anew. */
                refresh?: boolean;
            };
            header?: {
                /** @description An `ETag` of a listing. */
                "If-None-Match"?: string;
            };
            path: {
                /**
                 * @description The id of a provider.
                 * @example s3
                 */
                provider: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The page. */
            200: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Of the content. */
                    ETag?: string;
                    /** @description Seconds since the load began. */
                    Age?: number;
                    /** @description RFC 9211: `fastify-cloud-storage; hit; ttl=42`, or `; fwd=miss`. */
                    "Cache-Status"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Listing"];
                };
            };
            /** @description The client has it already. */
            304: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Of the content. */
                    ETag?: string;
                    /** @description Seconds since the load began. */
                    Age?: number;
                    /** @description RFC 9211: `fastify-cloud-storage; hit; ttl=42`, or `; fwd=miss`. */
                    "Cache-Status"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `CONNECTION_AMBIGUOUS`, `INVALID_REQUEST`, `INVALID_CURSOR` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `PROVIDER_UNKNOWN`, `CONNECTION_NOT_FOUND`, `FOLDER_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `CURSOR_EXPIRED` */
            410: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem410"];
                };
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem423"];
                };
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem429"];
                };
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `UNSUPPORTED` */
            501: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem501"];
                };
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem502"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED`, `CONNECTION_MISSING` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem504"];
                };
            };
        };
    };
    "listFolder-head": {
        parameters: {
            query?: {
                /** @description The `id` of an entry. Left out: the root. */
                folder?: string;
                /** @description The id of one of the user’s connections. Left out: the only one, or the default. */
                connection?: string;
                /** @description `page.next` of the page before, with the same folder, limit and kind. */
                cursor?: string;
                /** @description Entries of a page, at most. */
                limit?: number;
                /** @description Only those. */
                kind?: "folder" | "file";
                /** @description Drops what is kept of the folder and loads it anew. */
                refresh?: boolean;
            };
            header?: {
                /** @description An `ETag` of a listing. */
                "If-None-Match"?: string;
            };
            path: {
                /**
                 * @description The id of a provider.
                 * @example s3
                 */
                provider: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The page. */
            200: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Of the content. */
                    ETag?: string;
                    /** @description Seconds since the load began. */
                    Age?: number;
                    /** @description RFC 9211: `fastify-cloud-storage; hit; ttl=42`, or `; fwd=miss`. */
                    "Cache-Status"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The client has it already. */
            304: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Of the content. */
                    ETag?: string;
                    /** @description Seconds since the load began. */
                    Age?: number;
                    /** @description RFC 9211: `fastify-cloud-storage; hit; ttl=42`, or `; fwd=miss`. */
                    "Cache-Status"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `CONNECTION_AMBIGUOUS`, `INVALID_REQUEST`, `INVALID_CURSOR` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `PROVIDER_UNKNOWN`, `CONNECTION_NOT_FOUND`, `FOLDER_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `CURSOR_EXPIRED` */
            410: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `UNSUPPORTED` */
            501: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED`, `CONNECTION_MISSING` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    listProviders: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The providers. */
            200: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Providers"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `INTERNAL` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
        };
    };
    "listProviders-head": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The providers. */
            200: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INTERNAL` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    listConnections: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The connections. */
            200: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Connections"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `INTERNAL` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
        };
    };
    disconnectAll: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description All are gone. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INVALID_REQUEST` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `CROSS_SITE` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `PAYLOAD_TOO_LARGE` */
            413: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem413"];
                };
            };
            /** @description `UNSUPPORTED_MEDIA_TYPE` */
            415: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem415"];
                };
            };
            /** @description `INTERNAL` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
        };
    };
    "listConnections-head": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The connections. */
            200: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INTERNAL` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    connect: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description The id of a provider.
                 * @example s3
                 */
                id: string;
            };
            cookie?: never;
        };
        /** @description The fields that the provider’s schema in the list of providers asks for, and a `label`. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "label": "Archive",
                 *       "baseUrl": "https://dav.example.org/files",
                 *       "username": "ann",
                 *       "password": "secret"
                 *     }
                 */
                "application/json": components["schemas"]["S3Credentials"] | components["schemas"]["WebdavCredentials"] | components["schemas"]["NextcloudCredentials"];
            };
        };
        responses: {
            /** @description The connection. */
            201: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Connection"];
                };
            };
            /** @description `INVALID_REQUEST`, `INVALID_CREDENTIALS`, `INVALID_ADDRESS` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `CROSS_SITE`, `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `PROVIDER_UNKNOWN`, `FOLDER_NOT_FOUND`, `OBJECT_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `PAYLOAD_TOO_LARGE` */
            413: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem413"];
                };
            };
            /** @description `UNSUPPORTED_MEDIA_TYPE` */
            415: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem415"];
                };
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem423"];
                };
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem429"];
                };
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `UNSUPPORTED` */
            501: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem501"];
                };
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem502"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem504"];
                };
            };
        };
    };
    disconnect: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description The id of a connection.
                 * @example cab5aca4-1388-4e3c-8342-996064162c42
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is gone. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INVALID_REQUEST` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `CROSS_SITE` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `CONNECTION_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `PAYLOAD_TOO_LARGE` */
            413: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem413"];
                };
            };
            /** @description `UNSUPPORTED_MEDIA_TYPE` */
            415: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem415"];
                };
            };
            /** @description `INTERNAL` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
        };
    };
    changeConnection: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description The id of a connection.
                 * @example cab5aca4-1388-4e3c-8342-996064162c42
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "label": "Archive",
                 *       "default": true
                 *     }
                 */
                "application/json": {
                    /** @description The user’s own name for the connection. */
                    label?: string;
                    /** @description Whether it is meant where a request names none. */
                    default?: boolean;
                };
            };
        };
        responses: {
            /** @description As it is now. */
            200: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Connection"];
                };
            };
            /** @description `INVALID_REQUEST` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `CROSS_SITE` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `CONNECTION_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `PAYLOAD_TOO_LARGE` */
            413: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem413"];
                };
            };
            /** @description `UNSUPPORTED_MEDIA_TYPE` */
            415: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem415"];
                };
            };
            /** @description `INTERNAL` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
        };
    };
    verifyConnection: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description The id of a connection.
                 * @example cab5aca4-1388-4e3c-8342-996064162c42
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It works. */
            200: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Connection"];
                };
            };
            /** @description `INVALID_REQUEST` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `CROSS_SITE`, `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `CONNECTION_NOT_FOUND`, `PROVIDER_UNKNOWN`, `FOLDER_NOT_FOUND`, `OBJECT_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `PAYLOAD_TOO_LARGE` */
            413: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem413"];
                };
            };
            /** @description `UNSUPPORTED_MEDIA_TYPE` */
            415: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem415"];
                };
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem423"];
                };
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem429"];
                };
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem502"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED`, `CONNECTION_MISSING` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem504"];
                };
            };
        };
    };
    authorize: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description The id of a provider.
                 * @example s3
                 */
                provider: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    /** @description The user’s own name for the connection. */
                    label?: string;
                    /** @description Inside of the application. */
                    returnTo?: string;
                } | {
                    /** @description The user’s own name for the connection. */
                    label?: string;
                    /** @description The server. */
                    baseUrl: string;
                };
            };
        };
        responses: {
            /** @description Where to send the browser. */
            200: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    /** @description With OAuth: binds the flow to this browser. */
                    "Set-Cookie"?: string;
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "authorizationUrl": "https://accounts.example.org/authorize?response_type=code&state=…"
                     *     }
                     */
                    "application/json": {
                        authorizationUrl: string;
                    } | {
                        loginUrl: string;
                        flowId: string;
                    };
                };
            };
            /** @description `INVALID_REQUEST`, `INVALID_CREDENTIALS`, `INVALID_ADDRESS` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `CROSS_SITE`, `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `PROVIDER_UNKNOWN` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `PAYLOAD_TOO_LARGE` */
            413: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem413"];
                };
            };
            /** @description `UNSUPPORTED_MEDIA_TYPE` */
            415: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem415"];
                };
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem423"];
                };
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem429"];
                };
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `UNSUPPORTED` */
            501: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem501"];
                };
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem502"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem504"];
                };
            };
        };
    };
    pollLogin: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description The id of a provider.
                 * @example s3
                 */
                provider: string;
                /** @description As it was begun with. */
                flowId: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The user has: the connection. */
            201: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Connection"];
                };
            };
            /** @description Not yet. */
            202: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "pending"
                     *     }
                     */
                    "application/json": {
                        /** @constant */
                        status: "pending";
                    };
                };
            };
            /** @description `INVALID_REQUEST`, `INVALID_STATE`, `INVALID_CREDENTIALS`, `INVALID_ADDRESS` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `CROSS_SITE`, `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `PROVIDER_UNKNOWN`, `FOLDER_NOT_FOUND`, `OBJECT_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `PAYLOAD_TOO_LARGE` */
            413: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem413"];
                };
            };
            /** @description `UNSUPPORTED_MEDIA_TYPE` */
            415: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem415"];
                };
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem423"];
                };
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem429"];
                };
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `UNSUPPORTED` */
            501: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem501"];
                };
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem502"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem504"];
                };
            };
        };
    };
    download: {
        parameters: {
            query: {
                /** @description The `id` of an entry. */
                id: string;
                /** @description The id of one of the user’s connections. Left out: the only one, or the default. */
                connection?: string;
                /** @description The `mimeType` of one of the entry’s `exportFormats`. Left out: the first. */
                exportAs?: string;
            };
            header?: {
                /** @description One range of bytes. Several are answered with the whole. */
                Range?: string;
                /** @description The part is of use with this version alone. */
                "If-Range"?: string;
                /** @description Only this version. */
                "If-Match"?: string;
                /** @description Not this version, which the client has. */
                "If-None-Match"?: string;
                /** @description Only what is newer. */
                "If-Modified-Since"?: string;
                /** @description Only what is not newer. */
                "If-Unmodified-Since"?: string;
            };
            path: {
                /**
                 * @description The id of a provider.
                 * @example s3
                 */
                provider: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The whole content. */
            200: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description `attachment`, with the name. */
                    "Content-Disposition"?: string;
                    /** @description `bytes`, or `none`. */
                    "Accept-Ranges"?: string;
                    /** @description Where the store tells one. */
                    ETag?: string;
                    /** @description Where the store tells it. */
                    "Last-Modified"?: string;
                    /** @description In bytes, where it is known. */
                    "Content-Length"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "*/*": unknown;
                };
            };
            /** @description The part that was asked for. */
            206: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description `attachment`, with the name. */
                    "Content-Disposition"?: string;
                    /** @description `bytes`, or `none`. */
                    "Accept-Ranges"?: string;
                    /** @description Where the store tells one. */
                    ETag?: string;
                    /** @description Where the store tells it. */
                    "Last-Modified"?: string;
                    /** @description In bytes, where it is known. */
                    "Content-Length"?: string;
                    /** @description `bytes FIRST-LAST/SIZE` */
                    "Content-Range"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "*/*": unknown;
                };
            };
            /** @description The client has it already. */
            304: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description `attachment`, with the name. */
                    "Content-Disposition"?: string;
                    /** @description `bytes`, or `none`. */
                    "Accept-Ranges"?: string;
                    /** @description Where the store tells one. */
                    ETag?: string;
                    /** @description Where the store tells it. */
                    "Last-Modified"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `CONNECTION_AMBIGUOUS`, `INVALID_REQUEST` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `PROVIDER_UNKNOWN`, `CONNECTION_NOT_FOUND`, `OBJECT_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `PRECONDITION_FAILED` */
            412: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem412"];
                };
            };
            /** @description `PAYLOAD_TOO_LARGE` */
            413: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem413"];
                };
            };
            /** @description `RANGE_NOT_SATISFIABLE` */
            416: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description `bytes *\/SIZE` */
                    "Content-Range"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem416"];
                };
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem423"];
                };
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem429"];
                };
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `UNSUPPORTED` */
            501: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem501"];
                };
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem502"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED`, `CONNECTION_MISSING` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem504"];
                };
            };
        };
    };
    upload: {
        parameters: {
            query?: {
                /** @description The `id` of a file to replace. */
                id?: string;
                /** @description The `id` of the folder. Left out: the root. */
                parent?: string;
                /** @description What it is called there. */
                name?: string;
                /** @description The id of one of the user’s connections. Left out: the only one, or the default. */
                connection?: string;
            };
            header?: {
                /** @description An entry’s `version`, in quotes: only that one is changed. */
                "If-Match"?: string;
                /** @description `*`: never over something that is there. */
                "If-None-Match"?: string;
            };
            path: {
                /**
                 * @description The id of a provider.
                 * @example s3
                 */
                provider: string;
            };
            cookie?: never;
        };
        /** @description The content, as it is to be stored. */
        requestBody?: {
            content: {
                "*/*": unknown;
            };
        };
        responses: {
            /** @description It replaced something. */
            200: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Entry"];
                };
            };
            /** @description It is new. */
            201: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Entry"];
                };
            };
            /** @description `INVALID_REQUEST`, `CONNECTION_AMBIGUOUS` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `CROSS_SITE`, `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `PROVIDER_UNKNOWN`, `CONNECTION_NOT_FOUND`, `FOLDER_NOT_FOUND`, `OBJECT_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `ALREADY_EXISTS` */
            409: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem409"];
                };
            };
            /** @description `PRECONDITION_FAILED` */
            412: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem412"];
                };
            };
            /** @description `PAYLOAD_TOO_LARGE` */
            413: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem413"];
                };
            };
            /** @description `UNSUPPORTED_MEDIA_TYPE` */
            415: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem415"];
                };
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem423"];
                };
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem429"];
                };
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `UNSUPPORTED` */
            501: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem501"];
                };
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem502"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED`, `CONNECTION_MISSING` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem504"];
                };
            };
            /** @description `QUOTA_EXCEEDED`, `INSUFFICIENT_STORAGE` */
            507: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem507"];
                };
            };
        };
    };
    removeContent: {
        parameters: {
            query: {
                /** @description The `id` of an entry. */
                id: string;
                /** @description The id of one of the user’s connections. Left out: the only one, or the default. */
                connection?: string;
            };
            header?: {
                /** @description An entry’s `version`, in quotes: only that one is changed. */
                "If-Match"?: string;
            };
            path: {
                /**
                 * @description The id of a provider.
                 * @example s3
                 */
                provider: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is gone. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INVALID_REQUEST`, `CONNECTION_AMBIGUOUS` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `CROSS_SITE`, `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `PROVIDER_UNKNOWN`, `CONNECTION_NOT_FOUND`, `OBJECT_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `ALREADY_EXISTS` */
            409: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem409"];
                };
            };
            /** @description `PRECONDITION_FAILED` */
            412: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem412"];
                };
            };
            /** @description `PAYLOAD_TOO_LARGE` */
            413: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem413"];
                };
            };
            /** @description `UNSUPPORTED_MEDIA_TYPE` */
            415: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem415"];
                };
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem423"];
                };
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem429"];
                };
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `UNSUPPORTED` */
            501: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem501"];
                };
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem502"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED`, `CONNECTION_MISSING` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem504"];
                };
            };
        };
    };
    "download-head": {
        parameters: {
            query: {
                /** @description The `id` of an entry. */
                id: string;
                /** @description The id of one of the user’s connections. Left out: the only one, or the default. */
                connection?: string;
                /** @description The `mimeType` of one of the entry’s `exportFormats`. Left out: the first. */
                exportAs?: string;
            };
            header?: {
                /** @description One range of bytes. Several are answered with the whole. */
                Range?: string;
                /** @description The part is of use with this version alone. */
                "If-Range"?: string;
                /** @description Only this version. */
                "If-Match"?: string;
                /** @description Not this version, which the client has. */
                "If-None-Match"?: string;
                /** @description Only what is newer. */
                "If-Modified-Since"?: string;
                /** @description Only what is not newer. */
                "If-Unmodified-Since"?: string;
            };
            path: {
                /**
                 * @description The id of a provider.
                 * @example s3
                 */
                provider: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The whole content. */
            200: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description `attachment`, with the name. */
                    "Content-Disposition"?: string;
                    /** @description `bytes`, or `none`. */
                    "Accept-Ranges"?: string;
                    /** @description Where the store tells one. */
                    ETag?: string;
                    /** @description Where the store tells it. */
                    "Last-Modified"?: string;
                    /** @description In bytes, where it is known. */
                    "Content-Length"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The client has it already. */
            304: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description `attachment`, with the name. */
                    "Content-Disposition"?: string;
                    /** @description `bytes`, or `none`. */
                    "Accept-Ranges"?: string;
                    /** @description Where the store tells one. */
                    ETag?: string;
                    /** @description Where the store tells it. */
                    "Last-Modified"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `CONNECTION_AMBIGUOUS`, `INVALID_REQUEST` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `PROVIDER_UNKNOWN`, `CONNECTION_NOT_FOUND`, `OBJECT_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `PRECONDITION_FAILED` */
            412: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `PAYLOAD_TOO_LARGE` */
            413: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `UNSUPPORTED` */
            501: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED`, `CONNECTION_MISSING` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    createFolder: {
        parameters: {
            query?: {
                /** @description The id of one of the user’s connections. Left out: the only one, or the default. */
                connection?: string;
            };
            header?: never;
            path: {
                /**
                 * @description The id of a provider.
                 * @example s3
                 */
                provider: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "parentId": "Invoices/",
                 *       "name": "2027"
                 *     }
                 */
                "application/json": {
                    /** @description The `id` of a folder. Left out, or null: the root. */
                    parentId?: string | null;
                    name: string;
                };
            };
        };
        responses: {
            /** @description The folder. */
            201: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "Invoices/2027/",
                     *       "parentId": "Invoices/",
                     *       "driveId": null,
                     *       "name": "2027",
                     *       "kind": "folder",
                     *       "mimeType": null,
                     *       "size": null,
                     *       "createdAt": null,
                     *       "modifiedAt": null,
                     *       "version": null,
                     *       "hash": null,
                     *       "exportFormats": [],
                     *       "target": null,
                     *       "webUrl": null,
                     *       "thumbnailUrl": null,
                     *       "path": "Invoices/2027/",
                     *       "can": {
                     *         "list": true,
                     *         "download": false,
                     *         "write": null
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["Entry"];
                };
            };
            /** @description `INVALID_REQUEST`, `CONNECTION_AMBIGUOUS` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `CROSS_SITE`, `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `PROVIDER_UNKNOWN`, `CONNECTION_NOT_FOUND`, `FOLDER_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `ALREADY_EXISTS` */
            409: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem409"];
                };
            };
            /** @description `PAYLOAD_TOO_LARGE` */
            413: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem413"];
                };
            };
            /** @description `UNSUPPORTED_MEDIA_TYPE` */
            415: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem415"];
                };
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem423"];
                };
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem429"];
                };
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `UNSUPPORTED` */
            501: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem501"];
                };
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem502"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED`, `CONNECTION_MISSING` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem504"];
                };
            };
            /** @description `QUOTA_EXCEEDED` */
            507: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem507"];
                };
            };
        };
    };
    describeApi: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The document. */
            200: {
                headers: {
                    /** @description `no-referrer` */
                    "Referrer-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description `no-cache` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "openapi": "3.1.0"
                     *     }
                     */
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
        };
    };
    "describeApi-head": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The document. */
            200: {
                headers: {
                    /** @description `no-referrer` */
                    "Referrer-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description `no-cache` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    isLive: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is live. */
            200: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "live"
                     *     }
                     */
                    "application/json": {
                        /** @constant */
                        status: "live";
                    };
                };
            };
            /** @description `INTERNAL` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
        };
    };
    "isLive-head": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is live. */
            200: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INTERNAL` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    isReady: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is ready. */
            200: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ready"
                     *     }
                     */
                    "application/json": {
                        /** @constant */
                        status: "ready";
                    };
                };
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `DATABASE_UNAVAILABLE`, `PROVIDER_UNAVAILABLE`, `SHUTTING_DOWN` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
        };
    };
    "isReady-head": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is ready. */
            200: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `DATABASE_UNAVAILABLE`, `PROVIDER_UNAVAILABLE`, `SHUTTING_DOWN` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    listDocuments: {
        parameters: {
            query?: {
                /** @description `page.next` of the page before. */
                cursor?: string;
                /** @description Documents of a page, at most. */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of them, the newest first. */
            200: {
                headers: {
                    "Cache-Control"?: "private, no-cache";
                    Vary?: "Authorization";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "documents": [
                     *         {
                     *           "id": "0b9c2f6e-6f0a-4c5c-9a43-0d2a3c1f7e11",
                     *           "name": "Invoice 7.pdf",
                     *           "mimeType": "application/pdf",
                     *           "size": 48213,
                     *           "provider": null,
                     *           "connectionId": null,
                     *           "objectKey": null,
                     *           "hasContent": true,
                     *           "createdAt": "2026-11-02T08:30:00.000Z",
                     *           "updatedAt": "2026-11-02T08:31:00.000Z"
                     *         }
                     *       ],
                     *       "page": {
                     *         "next": null
                     *       },
                     *       "uploads": {
                     *         "maxBytes": null
                     *       }
                     *     }
                     */
                    "application/json": {
                        documents: {
                            id: string;
                            /** @description Text, never markup or a path. */
                            name: string;
                            mimeType: string | null;
                            /** @description Bytes; `null` where nobody knows. */
                            size: number | null;
                            /** @description Whose cloud holds it; `null`: this server keeps it itself. */
                            provider: string | null;
                            connectionId: string | null;
                            /** @description What the provider calls it; `null` where there is none. */
                            objectKey: string | null;
                            /** @description `false`: it was made, and nothing has been uploaded yet. */
                            hasContent: boolean;
                            /** Format: date-time */
                            createdAt: string;
                            /** Format: date-time */
                            updatedAt: string;
                        }[];
                        page: {
                            /** @description The `cursor` of the next page. */
                            next: string | null;
                        };
                        /** @description `null`: this server takes none. */
                        uploads: {
                            /** @description `null`: as many as its store takes. */
                            maxBytes: number | null;
                        } | null;
                    };
                };
            };
            /** @description `INVALID_REQUEST`, `INVALID_CURSOR` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `INTERNAL` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
        };
    };
    createDocument: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    /** @description Text: it is shown and never read. */
                    name: string;
                    mimeType?: string;
                } | {
                    /** @description Left out: its name in the cloud. */
                    name?: string;
                    provider: string;
                    connectionId: string;
                    /** @description The `id` of an entry. */
                    objectKey: string;
                };
            };
        };
        responses: {
            /** @description Its content is uploaded next, or is a file of a cloud. */
            201: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    /** @description Where it is. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0b9c2f6e-6f0a-4c5c-9a43-0d2a3c1f7e11",
                     *       "name": "Invoice 7.pdf",
                     *       "mimeType": "application/pdf",
                     *       "size": 48213,
                     *       "provider": null,
                     *       "connectionId": null,
                     *       "objectKey": null,
                     *       "hasContent": true,
                     *       "createdAt": "2026-11-02T08:30:00.000Z",
                     *       "updatedAt": "2026-11-02T08:31:00.000Z"
                     *     }
                     */
                    "application/json": {
                        id: string;
                        /** @description Text, never markup or a path. */
                        name: string;
                        mimeType: string | null;
                        /** @description Bytes; `null` where nobody knows. */
                        size: number | null;
                        /** @description Whose cloud holds it; `null`: this server keeps it itself. */
                        provider: string | null;
                        connectionId: string | null;
                        /** @description What the provider calls it; `null` where there is none. */
                        objectKey: string | null;
                        /** @description `false`: it was made, and nothing has been uploaded yet. */
                        hasContent: boolean;
                        /** Format: date-time */
                        createdAt: string;
                        /** Format: date-time */
                        updatedAt: string;
                    };
                };
            };
            /** @description `INVALID_REQUEST` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `CROSS_SITE`, `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `PROVIDER_UNKNOWN`, `CONNECTION_NOT_FOUND`, `OBJECT_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `PAYLOAD_TOO_LARGE` */
            413: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem413"];
                };
            };
            /** @description `UNSUPPORTED_MEDIA_TYPE` */
            415: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem415"];
                };
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem423"];
                };
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem429"];
                };
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `UNSUPPORTED` */
            501: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem501"];
                };
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem502"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem504"];
                };
            };
        };
    };
    "listDocuments-head": {
        parameters: {
            query?: {
                /** @description `page.next` of the page before. */
                cursor?: string;
                /** @description Documents of a page, at most. */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of them, the newest first. */
            200: {
                headers: {
                    "Cache-Control"?: "private, no-cache";
                    Vary?: "Authorization";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INVALID_REQUEST`, `INVALID_CURSOR` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INTERNAL` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    getDocument: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of a document. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What is known of it. */
            200: {
                headers: {
                    "Cache-Control"?: "private, no-cache";
                    Vary?: "Authorization";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0b9c2f6e-6f0a-4c5c-9a43-0d2a3c1f7e11",
                     *       "name": "Invoice 7.pdf",
                     *       "mimeType": "application/pdf",
                     *       "size": 48213,
                     *       "provider": null,
                     *       "connectionId": null,
                     *       "objectKey": null,
                     *       "hasContent": true,
                     *       "createdAt": "2026-11-02T08:30:00.000Z",
                     *       "updatedAt": "2026-11-02T08:31:00.000Z"
                     *     }
                     */
                    "application/json": {
                        id: string;
                        /** @description Text, never markup or a path. */
                        name: string;
                        mimeType: string | null;
                        /** @description Bytes; `null` where nobody knows. */
                        size: number | null;
                        /** @description Whose cloud holds it; `null`: this server keeps it itself. */
                        provider: string | null;
                        connectionId: string | null;
                        /** @description What the provider calls it; `null` where there is none. */
                        objectKey: string | null;
                        /** @description `false`: it was made, and nothing has been uploaded yet. */
                        hasContent: boolean;
                        /** Format: date-time */
                        createdAt: string;
                        /** Format: date-time */
                        updatedAt: string;
                    };
                };
            };
            /** @description `INVALID_REQUEST` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `DOCUMENT_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `INTERNAL` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
        };
    };
    removeDocument: {
        parameters: {
            query?: never;
            header?: {
                /** @description Only the content that has this `ETag`. */
                "If-Match"?: string;
            };
            path: {
                /** @description The id of a document. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is gone, and its content where this server keeps it. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INVALID_REQUEST`, `CONNECTION_AMBIGUOUS` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `CROSS_SITE`, `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `PROVIDER_UNKNOWN`, `DOCUMENT_NOT_FOUND`, `OBJECT_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `PRECONDITION_FAILED` */
            412: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem412"];
                };
            };
            /** @description `PAYLOAD_TOO_LARGE` */
            413: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem413"];
                };
            };
            /** @description `UNSUPPORTED_MEDIA_TYPE` */
            415: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem415"];
                };
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem423"];
                };
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem429"];
                };
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem502"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED`, `CONNECTION_MISSING` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem504"];
                };
            };
        };
    };
    "getDocument-head": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of a document. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What is known of it. */
            200: {
                headers: {
                    "Cache-Control"?: "private, no-cache";
                    Vary?: "Authorization";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INVALID_REQUEST` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `DOCUMENT_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INTERNAL` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    downloadDocument: {
        parameters: {
            query?: never;
            header?: {
                /** @description One range of bytes. Several are answered with the whole. */
                Range?: string;
                /** @description The part is of use with this version alone. */
                "If-Range"?: string;
                /** @description Only this version. */
                "If-Match"?: string;
                /** @description Not this version, which the client has. */
                "If-None-Match"?: string;
                /** @description Only what is newer. */
                "If-Modified-Since"?: string;
                /** @description Only what is not newer. */
                "If-Unmodified-Since"?: string;
            };
            path: {
                /** @description The id of a document. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The whole content. */
            200: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description `attachment`, with the name. */
                    "Content-Disposition"?: string;
                    /** @description `bytes`, or `none`. */
                    "Accept-Ranges"?: string;
                    /** @description Where the store tells one. */
                    ETag?: string;
                    /** @description Where the store tells it. */
                    "Last-Modified"?: string;
                    /** @description In bytes, where it is known. */
                    "Content-Length"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "*/*": unknown;
                };
            };
            /** @description The part that was asked for. */
            206: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description `attachment`, with the name. */
                    "Content-Disposition"?: string;
                    /** @description `bytes`, or `none`. */
                    "Accept-Ranges"?: string;
                    /** @description Where the store tells one. */
                    ETag?: string;
                    /** @description Where the store tells it. */
                    "Last-Modified"?: string;
                    /** @description In bytes, where it is known. */
                    "Content-Length"?: string;
                    /** @description `bytes FIRST-LAST/SIZE` */
                    "Content-Range"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "*/*": unknown;
                };
            };
            /** @description The client has it already. */
            304: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description `attachment`, with the name. */
                    "Content-Disposition"?: string;
                    /** @description `bytes`, or `none`. */
                    "Accept-Ranges"?: string;
                    /** @description Where the store tells one. */
                    ETag?: string;
                    /** @description Where the store tells it. */
                    "Last-Modified"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `CONNECTION_AMBIGUOUS`, `INVALID_REQUEST` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `PROVIDER_UNKNOWN`, `DOCUMENT_NOT_FOUND`, `OBJECT_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `PRECONDITION_FAILED` */
            412: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem412"];
                };
            };
            /** @description `RANGE_NOT_SATISFIABLE` */
            416: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description `bytes *\/SIZE` */
                    "Content-Range"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem416"];
                };
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem423"];
                };
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem429"];
                };
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem502"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED`, `CONNECTION_MISSING` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem504"];
                };
            };
        };
    };
    uploadDocument: {
        parameters: {
            query?: never;
            header?: {
                /** @description Only the content that has this `ETag`. */
                "If-Match"?: string;
                /** @description `*`: only where there is none yet. */
                "If-None-Match"?: string;
            };
            path: {
                /** @description The id of a document. */
                id: string;
            };
            cookie?: never;
        };
        /** @description The content, as it is to be stored. */
        requestBody?: {
            content: {
                "*/*": unknown;
            };
        };
        responses: {
            /** @description It had other content before. */
            200: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0b9c2f6e-6f0a-4c5c-9a43-0d2a3c1f7e11",
                     *       "name": "Invoice 7.pdf",
                     *       "mimeType": "application/pdf",
                     *       "size": 48213,
                     *       "provider": null,
                     *       "connectionId": null,
                     *       "objectKey": null,
                     *       "hasContent": true,
                     *       "createdAt": "2026-11-02T08:30:00.000Z",
                     *       "updatedAt": "2026-11-02T08:31:00.000Z"
                     *     }
                     */
                    "application/json": {
                        id: string;
                        /** @description Text, never markup or a path. */
                        name: string;
                        mimeType: string | null;
                        /** @description Bytes; `null` where nobody knows. */
                        size: number | null;
                        /** @description Whose cloud holds it; `null`: this server keeps it itself. */
                        provider: string | null;
                        connectionId: string | null;
                        /** @description What the provider calls it; `null` where there is none. */
                        objectKey: string | null;
                        /** @description `false`: it was made, and nothing has been uploaded yet. */
                        hasContent: boolean;
                        /** Format: date-time */
                        createdAt: string;
                        /** Format: date-time */
                        updatedAt: string;
                    };
                };
            };
            /** @description It is its first. */
            201: {
                headers: {
                    /** @description `no-store` */
                    "Cache-Control"?: string;
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0b9c2f6e-6f0a-4c5c-9a43-0d2a3c1f7e11",
                     *       "name": "Invoice 7.pdf",
                     *       "mimeType": "application/pdf",
                     *       "size": 48213,
                     *       "provider": null,
                     *       "connectionId": null,
                     *       "objectKey": null,
                     *       "hasContent": true,
                     *       "createdAt": "2026-11-02T08:30:00.000Z",
                     *       "updatedAt": "2026-11-02T08:31:00.000Z"
                     *     }
                     */
                    "application/json": {
                        id: string;
                        /** @description Text, never markup or a path. */
                        name: string;
                        mimeType: string | null;
                        /** @description Bytes; `null` where nobody knows. */
                        size: number | null;
                        /** @description Whose cloud holds it; `null`: this server keeps it itself. */
                        provider: string | null;
                        connectionId: string | null;
                        /** @description What the provider calls it; `null` where there is none. */
                        objectKey: string | null;
                        /** @description `false`: it was made, and nothing has been uploaded yet. */
                        hasContent: boolean;
                        /** Format: date-time */
                        createdAt: string;
                        /** Format: date-time */
                        updatedAt: string;
                    };
                };
            };
            /** @description `INVALID_REQUEST`, `CONNECTION_AMBIGUOUS` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem400"];
                };
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem401"];
                };
            };
            /** @description `CROSS_SITE`, `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem403"];
                };
            };
            /** @description `PROVIDER_UNKNOWN`, `DOCUMENT_NOT_FOUND`, `OBJECT_NOT_FOUND`, `FOLDER_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem404"];
                };
            };
            /** @description `ALREADY_EXISTS` */
            409: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem409"];
                };
            };
            /** @description `PRECONDITION_FAILED` */
            412: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem412"];
                };
            };
            /** @description `PAYLOAD_TOO_LARGE` */
            413: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem413"];
                };
            };
            /** @description `UNSUPPORTED_MEDIA_TYPE` */
            415: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem415"];
                };
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem423"];
                };
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem429"];
                };
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem500"];
                };
            };
            /** @description `UNSUPPORTED` */
            501: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem501"];
                };
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem502"];
                };
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED`, `CONNECTION_MISSING` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem503"];
                };
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem504"];
                };
            };
            /** @description `QUOTA_EXCEEDED`, `INSUFFICIENT_STORAGE` */
            507: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem507"];
                };
            };
        };
    };
    "downloadDocument-head": {
        parameters: {
            query?: never;
            header?: {
                /** @description One range of bytes. Several are answered with the whole. */
                Range?: string;
                /** @description The part is of use with this version alone. */
                "If-Range"?: string;
                /** @description Only this version. */
                "If-Match"?: string;
                /** @description Not this version, which the client has. */
                "If-None-Match"?: string;
                /** @description Only what is newer. */
                "If-Modified-Since"?: string;
                /** @description Only what is not newer. */
                "If-Unmodified-Since"?: string;
            };
            path: {
                /** @description The id of a document. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The whole content. */
            200: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description `attachment`, with the name. */
                    "Content-Disposition"?: string;
                    /** @description `bytes`, or `none`. */
                    "Accept-Ranges"?: string;
                    /** @description Where the store tells one. */
                    ETag?: string;
                    /** @description Where the store tells it. */
                    "Last-Modified"?: string;
                    /** @description In bytes, where it is known. */
                    "Content-Length"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The client has it already. */
            304: {
                headers: {
                    /** @description `private, no-cache` */
                    "Cache-Control"?: string;
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description `attachment`, with the name. */
                    "Content-Disposition"?: string;
                    /** @description `bytes`, or `none`. */
                    "Accept-Ranges"?: string;
                    /** @description Where the store tells one. */
                    ETag?: string;
                    /** @description Where the store tells it. */
                    "Last-Modified"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `CONNECTION_AMBIGUOUS`, `INVALID_REQUEST` */
            400: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `UNAUTHENTICATED` */
            401: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description Where the application names a scheme. */
                    "WWW-Authenticate"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ACCESS_DENIED`, `ACCOUNT_DISABLED`, `INSUFFICIENT_SCOPE`, `ENDPOINT_FORBIDDEN` */
            403: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `PROVIDER_UNKNOWN`, `DOCUMENT_NOT_FOUND`, `OBJECT_NOT_FOUND` */
            404: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `PRECONDITION_FAILED` */
            412: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `LOCKED` */
            423: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `TOO_MANY_REQUESTS` */
            429: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description In seconds. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `INTERNAL`, `SDK_MISSING` */
            500: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `PROVIDER_ERROR`, `SCHEME_MISMATCH` */
            502: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `AUTHENTICATION_UNAVAILABLE`, `DATABASE_UNAVAILABLE`, `SHUTTING_DOWN`, `CONNECTION_INACTIVE`, `CREDENTIALS_UNREADABLE`, `PROVIDER_UNAVAILABLE`, `PROVIDER_THROTTLED`, `CONNECTION_MISSING` */
            503: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    /** @description In seconds, where it is known when to try again. */
                    "Retry-After"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `PROVIDER_TIMEOUT` */
            504: {
                headers: {
                    "Cache-Control"?: "no-store";
                    /** @description By what it differs: `Authorization, Cookie` and what else. */
                    Vary?: string;
                    /** @description Where it is shown all the same, it may do nothing and load nothing. */
                    "Content-Security-Policy"?: string;
                    /** @description `same-origin` */
                    "Cross-Origin-Resource-Policy"?: string;
                    /** @description `nosniff` */
                    "X-Content-Type-Options"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
}
