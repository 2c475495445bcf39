/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that only starting needed. */
#ifndef HOST_TRIM_H
#define HOST_TRIM_H

/* Gives back the pages of the code of a library, by the beginning of its file name; what is called again
 * comes back by itself. */
void trim_library(const char *name);

#endif
