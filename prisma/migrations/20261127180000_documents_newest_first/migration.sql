-- The order in which documents are listed. The owner comes first in it, so it serves as the other index did too.
-- DropIndex
DROP INDEX "documents_user_id_idx";

-- CreateIndex
CREATE INDEX "documents_user_id_created_at_id_idx" ON "documents"("user_id", "created_at" DESC, "id" DESC);
