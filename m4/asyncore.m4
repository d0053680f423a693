# SPDX-License-Identifier: BSD-3-Clause

# ASYNCORE_CC_FLAGS(VARIABLE, FLAGS)
# Append to the shell variable those flags that the C compiler knows.  -Werror,
# because clang only warns about a flag that it does not know.
AC_DEFUN([ASYNCORE_CC_FLAGS],
[m4_foreach_w([asyncore_flag], [$2],
  [AS_VAR_PUSHDEF([asyncore_cache], [asyncore_cv_cc_]asyncore_flag)dnl
   AC_CACHE_CHECK([whether $CC accepts ]asyncore_flag, [asyncore_cache],
     [asyncore_save_CFLAGS=$CFLAGS
      CFLAGS="$CFLAGS -Werror asyncore_flag"
      AC_COMPILE_IFELSE([AC_LANG_SOURCE([[typedef int nothing;]])],
        [AS_VAR_SET([asyncore_cache], [yes])],
        [AS_VAR_SET([asyncore_cache], [no])])
      CFLAGS=$asyncore_save_CFLAGS])
   AS_VAR_IF([asyncore_cache], [yes], [$1="$$1 asyncore_flag"])
   AS_VAR_POPDEF([asyncore_cache])dnl
])])

# ASYNCORE_VERSION_SCRIPT
# Set the conditional HAVE_VERSION_SCRIPT: the linker takes --version-script.
AC_DEFUN([ASYNCORE_VERSION_SCRIPT],
[AC_CACHE_CHECK([whether the linker accepts --version-script],
  [asyncore_cv_version_script],
  [asyncore_save_LDFLAGS=$LDFLAGS
   LDFLAGS="$LDFLAGS -Wl,--version-script=conftest.map"
   echo 'TEST { global: main; local: *; };' >conftest.map
   AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
     [asyncore_cv_version_script=yes],
     [asyncore_cv_version_script=no])
   rm -f conftest.map
   LDFLAGS=$asyncore_save_LDFLAGS])
AM_CONDITIONAL([HAVE_VERSION_SCRIPT],
  [test "$asyncore_cv_version_script" = yes])
])
