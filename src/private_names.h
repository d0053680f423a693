/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * private_names.h - what the library shares between its files, under names that cannot
 * clash with a program's that links it statically.  One line for each; test/exports.sh
 * finds those that are missing.  Every private header includes it.
 */

#ifndef PRIVATE_NAMES_H
#define PRIVATE_NAMES_H

#define address_lookup asyncore__address_lookup
#define address_of_path asyncore__address_of_path
#define buffer_append asyncore__buffer_append
#define buffer_drain asyncore__buffer_drain
#define buffer_free asyncore__buffer_free
#define buffer_take asyncore__buffer_take
#define channel_addr asyncore__channel_addr
#define channel_dispose asyncore__channel_dispose
#define channel_free asyncore__channel_free
#define channel_gathered asyncore__channel_gathered
#define channel_handle_close asyncore__channel_handle_close
#define channel_log_sending asyncore__channel_log_sending
#define channel_new asyncore__channel_new
#define channel_noted asyncore__channel_noted
#define channel_open asyncore__channel_open
#define channel_orphaned asyncore__channel_orphaned
#define channel_repr_addr asyncore__channel_repr_addr
#define channel_send asyncore__channel_send
#define channel_send_gathered asyncore__channel_send_gathered
#define channel_set_addr asyncore__channel_set_addr
#define channel_unopen asyncore__channel_unopen
#define chat_extra asyncore__chat_extra
#define chat_flush asyncore__chat_flush
#define chat_forget_input asyncore__chat_forget_input
#define chat_type_with asyncore__chat_type_with
#define dispatcher_init asyncore__dispatcher_init
#define error_handle asyncore__error_handle
#define error_text asyncore__error_text
#define error_void asyncore__error_void
#define fifo_clear asyncore__fifo_clear
#define fifo_gather asyncore__fifo_gather
#define fifo_head asyncore__fifo_head
#define fifo_more asyncore__fifo_more
#define fifo_pop asyncore__fifo_pop
#define fifo_push asyncore__fifo_push
#define fifo_push_close asyncore__fifo_push_close
#define fifo_push_producer asyncore__fifo_push_producer
#define fifo_push_reference asyncore__fifo_push_reference
#define fifo_sent asyncore__fifo_sent
#define file_producer_is asyncore__file_producer_is
#define file_producer_send asyncore__file_producer_send
#define file_send asyncore__file_send
#define file_write asyncore__file_write
#define interest_fire_always asyncore__interest_fire_always
#define interest_refresh asyncore__interest_refresh
#define loop_serve asyncore__loop_serve
#define map_add asyncore__map_add
#define map_borrow_buffer asyncore__map_borrow_buffer
#define map_clear asyncore__map_clear
#define map_forget asyncore__map_forget
#define map_grow_fired asyncore__map_grow_fired
#define map_or_default asyncore__map_or_default
#define map_pause asyncore__map_pause
#define map_put_on_agenda asyncore__map_put_on_agenda
#define map_remove asyncore__map_remove
#define map_reserve asyncore__map_reserve
#define map_resume asyncore__map_resume
#define map_return_buffer asyncore__map_return_buffer
#define map_sweep asyncore__map_sweep
#define map_take_from_agenda asyncore__map_take_from_agenda
#define map_unuse asyncore__map_unuse
#define methods_derived asyncore__methods_derived
#define methods_of asyncore__methods_of
#define poller_arm asyncore__poller_arm
#define poller_check asyncore__poller_check
#define poller_event_size asyncore__poller_event_size
#define poller_free asyncore__poller_free
#define poller_init asyncore__poller_init
#define poller_renew_urgent asyncore__poller_renew_urgent
#define poller_rest asyncore__poller_rest
#define poller_resume_later asyncore__poller_resume_later
#define poller_serve_soon asyncore__poller_serve_soon
#define poller_serve_within asyncore__poller_serve_within
#define poller_timeout asyncore__poller_timeout
#define poller_wait asyncore__poller_wait
#define terminator_free asyncore__terminator_free
#define terminator_search asyncore__terminator_search
#define terminator_set asyncore__terminator_set
#define urgent_close asyncore__urgent_close
#define urgent_collect asyncore__urgent_collect
#define urgent_forget asyncore__urgent_forget
#define urgent_open asyncore__urgent_open
#define urgent_refuses asyncore__urgent_refuses
#define urgent_watch asyncore__urgent_watch

#endif /* PRIVATE_NAMES_H */
