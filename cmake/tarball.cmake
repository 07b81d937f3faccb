# cmake -DFOLDER=… -DFILE=… -P tarball.cmake: a gzip tar of bin and lib that depends on their bytes only.
execute_process(
  COMMAND tar -C ${FOLDER} --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar -cf - bin lib
  COMMAND gzip -n -9
  OUTPUT_FILE ${FILE}.part COMMAND_ERROR_IS_FATAL ANY)
file(RENAME ${FILE}.part ${FILE})
